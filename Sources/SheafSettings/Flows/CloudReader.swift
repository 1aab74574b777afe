import SheafFlows

/// Reads the keys of `chat` for models that a cloud runs.
enum CloudReader {
    static let keys = [
        "project", "location", "credentials", "region", "access_key", "secret_key", "session_token", "role", "jobs_url",
        "minimum_records", "storage", "output_storage", "storage_url",
    ]

    private static let googleFile = "GOOGLE_APPLICATION_CREDENTIALS"
    private static let awsKey = (id: "AWS_ACCESS_KEY_ID", secret: "AWS_SECRET_ACCESS_KEY", token: "AWS_SESSION_TOKEN")

    /// Returns the variables that are used if the credentials are not configured.
    static func impliedVariables(in parts: [String: String]) -> ImpliedVariables {
        switch parts["provider"].flatMap({ ChatProvider(rawValue: $0) }) {
        case .vertex where parts["credentials"] == nil && parts["api_key"] == nil:
            return ImpliedVariables(needed: [googleFile])
        case .bedrock where parts["access_key"] == nil && parts["secret_key"] == nil:
            return ImpliedVariables(needed: [awsKey.id, awsKey.secret], optional: [awsKey.token])
        default: return ImpliedVariables()
        }
    }

    /// Returns what is configured, with the variables that are used otherwise.
    static func options(
        _ keys: [String: SettingsReader],
        for provider: ChatProvider,
        _ entry: FlowEntry
    ) throws(SettingsError) -> CloudOptions {
        var options = CloudOptions()
        options.project = try keys["project"]?.nonEmptyText("the id of a project")
        options.location = try keys["location"]?.nonEmptyText("a location, such as us-central1")
        options.credentials = try keys["credentials"]?.nonEmptyText("the path of a key file")
        options.region = try keys["region"]?.nonEmptyText("a region, such as us-east-1")
        options.accessKey = try keys["access_key"]?.nonEmptyText("a key, such as ${AWS_ACCESS_KEY_ID}")
        options.secretKey = try keys["secret_key"]?.nonEmptyText("a key, such as ${AWS_SECRET_ACCESS_KEY}")
        options.sessionToken = try keys["session_token"]?.nonEmptyText("a token, such as ${AWS_SESSION_TOKEN}")
        options.role = try keys["role"]?.nonEmptyText("the ARN of a role")
        options.jobsURL = try keys["jobs_url"]?.nonEmptyText("a URL")
        options.minimumRecords = try keys["minimum_records"]?.int(in: 1...100_000)
        options.storage = try keys["storage"]?.nonEmptyText("a folder in a bucket")
        options.outputStorage = try keys["output_storage"]?.nonEmptyText("a folder in a bucket")
        options.storageURL = try keys["storage_url"]?.nonEmptyText("a URL")
        // A path in a variable is not one of the configuration.
        if let path = options.credentials, !path.contains("${") { options.credentials = entry.path(path) }
        switch provider {
        case .vertex where options.credentials == nil && keys["api_key"] == nil:
            options.credentials = "${\(googleFile)}"
        case .bedrock where options.accessKey == nil && options.secretKey == nil:
            options.accessKey = "${\(awsKey.id)}"
            options.secretKey = "${\(awsKey.secret)}"
            if options.sessionToken == nil, entry.variables[awsKey.token] != nil {
                options.sessionToken = "${\(awsKey.token)}"
            }
        default: break
        }
        return options
    }

    /// Throws if a key is missing that jobs of many requests need.
    static func check(
        _ options: CloudOptions,
        for provider: ChatProvider,
        _ entry: FlowEntry
    ) throws(SettingsError) {
        guard provider == .vertex || provider == .bedrock else { return }
        if options.storage == nil {
            let scheme = provider == .vertex ? "gs" : "s3"
            throw entry.value.error(
                "it has no storage, which bulk needs; set a folder such as \(scheme)://BUCKET/FOLDER"
            )
        }
        if provider == .bedrock, options.role == nil {
            throw entry.value.error("it has no role, which bulk needs; set the ARN of a role that may use the bucket")
        }
    }
}
