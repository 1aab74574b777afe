/// What a flow is configured with, besides the keys of all providers, if a cloud runs its models.
///
/// A key that the flow's provider does not use must be nil.
package struct CloudOptions: Sendable {
    /// The project of Google Cloud.
    package var project: String?
    /// The location of Vertex AI, such as `us-central1` or `global`.
    package var location: String?
    /// The path of the key file of a service account.
    package var credentials: String?
    /// The region of AWS, such as `us-east-1`.
    package var region: String?
    /// The id of an access key of AWS.
    package var accessKey: String?
    /// The secret of that access key.
    package var secretKey: String?
    /// The session token, if the access key is temporary.
    package var sessionToken: String?
    /// The ARN of the role as which Bedrock reads and writes the files of a job.
    package var role: String?
    /// The URL of Bedrock's API for jobs, if it is not AWS's own.
    package var jobsURL: String?
    /// The fewest requests that Bedrock accepts in a job.
    package var minimumRecords: Int?
    /// The folder for uploaded requests, such as `gs://bucket/folder`.
    package var storage: String?
    /// The folder for results; nil means the same folder.
    package var outputStorage: String?
    /// The URL of the storage's API, if it is not the cloud's own.
    package var storageURL: String?

    package init() {}

    /// The keys by their names in a configuration, and the provider that uses each; nil if both do.
    private var keys: [(name: String, isSet: Bool, owner: ChatProvider?)] {
        [
            ("project", project != nil, .vertex), ("location", location != nil, .vertex),
            ("credentials", credentials != nil, .vertex), ("region", region != nil, .bedrock),
            ("access_key", accessKey != nil, .bedrock), ("secret_key", secretKey != nil, .bedrock),
            ("session_token", sessionToken != nil, .bedrock), ("role", role != nil, .bedrock),
            ("jobs_url", jobsURL != nil, .bedrock), ("minimum_records", minimumRecords != nil, .bedrock),
            ("storage", storage != nil, nil), ("output_storage", outputStorage != nil, nil),
            ("storage_url", storageURL != nil, nil),
        ]
    }

    /// Throws if a key is set that the provider does not use.
    func check(for provider: ChatProvider) throws(FlowConfigurationProblem) {
        for (name, isSet, owner) in keys where isSet {
            let owners = owner.map { [$0] } ?? [.vertex, .bedrock]
            if owners.contains(provider) { continue }
            let names = owners.map(\.rawValue).joined(separator: " and ")
            let verb = owners.count == 1 ? "has" : "have"
            throw FlowConfigurationProblem(.key(name), "only provider: \(names) \(verb) it")
        }
    }
}

/// What a cloud that runs a flow's models needs for jobs of many requests.
package struct ModelCloud: Sendable {
    /// The folder for uploaded requests; nil if none is configured.
    package var storage: StorageFolder?
    /// The folder for results; nil if none is configured.
    package var output: StorageFolder?
    /// The URL of the storage's API, without a slash at its end.
    package var storageURL: String
    /// The URL of the API for jobs, without a slash at its end; empty if it is that of the models.
    package var jobsURL = ""
    /// The role as which the files of a job are read and written; empty if there is none.
    package var role = ""
    /// The fewest requests of a job.
    package var minimumRecords = 1

    /// Reads the folders and the URL of the storage.
    init(_ options: CloudOptions, scheme: String, storageURL: String) throws(FlowConfigurationProblem) {
        storage = try StorageFolder(options.storage, scheme, "storage")
        output = try StorageFolder(options.outputStorage, scheme, "output_storage") ?? storage
        if storage == nil, output != nil {
            throw FlowConfigurationProblem(.key("output_storage"), "it needs storage too, where requests are uploaded")
        }
        self.storageURL = try Self.url(options.storageURL, or: storageURL, "storage_url")
    }

    /// Returns a URL without a slash at its end.
    static func url(_ url: String?, or own: String, _ key: String) throws(FlowConfigurationProblem) -> String {
        guard let url else { return own }
        guard HTTPAddress(url) != nil, !url.contains("?") else {
            throw FlowConfigurationProblem(.key(key), "expected a URL such as \(own), without user, password and query")
        }
        return url.hasSuffix("/") ? String(url.dropLast()) : url
    }
}

/// A folder in a bucket of a cloud's storage.
package struct StorageFolder: Sendable, Equatable {
    /// `gs` or `s3`.
    package let scheme: String
    package let bucket: String
    /// The names of the folder's objects begin with it; empty, or with a slash at its end.
    package let prefix: String

    /// Reads a folder such as `gs://bucket/folder`; returns nil for nil.
    fileprivate init?(_ text: String?, _ scheme: String, _ key: String) throws(FlowConfigurationProblem) {
        guard let text else { return nil }
        guard let folder = StorageFolder(text, scheme: scheme) else {
            throw FlowConfigurationProblem(.key(key), "expected a folder such as \(scheme)://BUCKET/FOLDER")
        }
        self = folder
    }

    /// Reads a folder such as `gs://bucket/folder`; returns nil if it is none.
    package init?(_ text: String, scheme: String) {
        // Names of files below it are kept in logs, which have room for 512 bytes.
        guard text.utf8.count <= 400,
            let match = text.wholeMatch(of: /([a-z0-9]+):\/\/([a-z0-9][a-z0-9._\-]+)(?:\/(.*))?/), match.1 == scheme
        else { return nil }
        let path = String(match.3 ?? "")
        // Control characters and white space cannot be part of a URI in a job.
        guard path.unicodeScalars.allSatisfy({ $0.value > 0x20 && $0.value != 0x7F && $0 != "?" && $0 != "#" }) else {
            return nil
        }
        self.scheme = scheme
        bucket = String(match.2)
        prefix = path.isEmpty || path.hasSuffix("/") ? path : "\(path)/"
    }

    /// Returns the URI of an object or folder in this folder.
    package func uri(_ name: String) -> String { "\(scheme)://\(bucket)/\(prefix)\(name)" }
}
