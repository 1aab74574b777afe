import SheafFlows

/// A service of models: its API, its address and the key to it.
///
/// No form of printing a provider shows the key.
public struct ModelProvider: Sendable {
    let format: ChatProvider
    let baseURL: String?
    let apiVersion: String?
    let headers: [String: String]
    let cloud: CloudOptions
    /// The values that no message shows, by the names that stand for them.
    let secrets: [String: String]

    private init(
        _ format: ChatProvider,
        baseURL: String?,
        apiVersion: String? = nil,
        headers: [String: String] = [:],
        cloud: CloudOptions = CloudOptions(),
        secrets: [String: String?]
    ) {
        self.format = format
        self.baseURL = baseURL
        self.apiVersion = apiVersion
        self.headers = headers
        self.cloud = cloud
        self.secrets = secrets.compactMapValues { $0 }
    }

    /// Names OpenAI, or a service that offers the same API at another URL such as `http://127.0.0.1:8000/v1`.
    public static func openAI(
        key: String?,
        baseURL: String? = nil,
        headers: [String: String] = [:]
    ) -> ModelProvider {
        ModelProvider(.openai, baseURL: baseURL, headers: headers, secrets: [Secret.key: key])
    }

    /// Names a resource of Azure OpenAI, such as `https://NAME.openai.azure.com`; the models are its deployments.
    ///
    /// - Parameter apiVersion: The version of the older API; nil means the one that has no versions.
    public static func azureOpenAI(key: String, baseURL: String, apiVersion: String? = nil) -> ModelProvider {
        ModelProvider(.azure, baseURL: baseURL, apiVersion: apiVersion, secrets: [Secret.key: key])
    }

    /// Names Anthropic, or a service that offers the same API at another URL.
    public static func anthropic(
        key: String,
        baseURL: String? = nil,
        headers: [String: String] = [:]
    ) -> ModelProvider {
        ModelProvider(.anthropic, baseURL: baseURL, headers: headers, secrets: [Secret.key: key])
    }

    /// Names Google's Gemini API, or a service that offers the same API at another URL.
    public static func gemini(key: String, baseURL: String? = nil) -> ModelProvider {
        ModelProvider(.gemini, baseURL: baseURL, secrets: [Secret.key: key])
    }

    /// Names Mistral, or a service that offers the same API at another URL.
    public static func mistral(key: String, baseURL: String? = nil) -> ModelProvider {
        ModelProvider(.mistral, baseURL: baseURL, secrets: [Secret.key: key])
    }

    /// Names the models of Vertex AI in a project of Google Cloud.
    ///
    /// - Parameters:
    ///   - project: The id of the project.
    ///   - location: The location, such as `us-central1` or `global`.
    ///   - credentials: The path of the key file of a service account.
    ///   - token: A ready access token, instead of `credentials`.
    ///   - storage: The folder for requests and results in bulk, such as `gs://BUCKET/FOLDER`.
    ///   - baseURL: The URL of the models' API, if it is not Google's.
    ///   - storageURL: The URL of the storage's API, if it is not Google's.
    public static func vertexAI(
        project: String,
        location: String,
        credentials: String? = nil,
        token: String? = nil,
        storage: String? = nil,
        baseURL: String? = nil,
        storageURL: String? = nil
    ) -> ModelProvider {
        var cloud = CloudOptions()
        (cloud.project, cloud.location, cloud.credentials) = (project, location, credentials)
        (cloud.storage, cloud.storageURL) = (storage, storageURL)
        return ModelProvider(.vertex, baseURL: baseURL, cloud: cloud, secrets: [Secret.key: token])
    }

    /// Names the models of Amazon Bedrock in a region.
    ///
    /// - Parameters:
    ///   - region: The region, such as `us-east-1`.
    ///   - accessKey: The id of an access key.
    ///   - secretKey: The secret of the access key.
    ///   - sessionToken: The session token, if the access key is temporary.
    ///   - storage: The folder for requests and results in bulk, such as `s3://BUCKET/FOLDER`.
    ///   - role: The ARN of the role as which Bedrock reads and writes the folder.
    ///   - minimumRecords: The fewest requests that the quota allows in a job; nil means 100.
    ///   - baseURL: The URL of the models' API, if it is not Amazon's.
    ///   - jobsURL: The URL of the API for jobs, if it is not Amazon's.
    ///   - storageURL: The URL of the storage's API, if it is not Amazon's.
    public static func bedrock(
        region: String,
        accessKey: String,
        secretKey: String,
        sessionToken: String? = nil,
        storage: String? = nil,
        role: String? = nil,
        minimumRecords: Int? = nil,
        baseURL: String? = nil,
        jobsURL: String? = nil,
        storageURL: String? = nil
    ) -> ModelProvider {
        var cloud = CloudOptions()
        (cloud.region, cloud.storage, cloud.role) = (region, storage, role)
        (cloud.minimumRecords, cloud.jobsURL, cloud.storageURL) = (minimumRecords, jobsURL, storageURL)
        (cloud.accessKey, cloud.secretKey) = (Secret.reference(Secret.accessKey), Secret.reference(Secret.secretKey))
        cloud.sessionToken = sessionToken.map { _ in Secret.reference(Secret.sessionToken) }
        return ModelProvider(
            .bedrock,
            baseURL: baseURL,
            cloud: cloud,
            secrets: [
                Secret.accessKey: accessKey, Secret.secretKey: secretKey, Secret.sessionToken: sessionToken,
            ]
        )
    }

    /// The key as the flows write it: a name that stands for it; nil if there is no key.
    var keyReference: String? { secrets[Secret.key].map { _ in Secret.reference(Secret.key) } }

    /// The service, as text for people and as what tells services apart.
    var address: String {
        let parts = [baseURL ?? format.baseURL, apiVersion, cloud.project, cloud.location, cloud.region]
        return "\(format.rawValue) \(parts.compactMap { $0 }.joined(separator: " "))"
    }

    /// The names that stand for secrets in a flow.
    private enum Secret {
        static let key = "API_KEY"
        static let accessKey = "ACCESS_KEY"
        static let secretKey = "SECRET_KEY"
        static let sessionToken = "SESSION_TOKEN"

        static func reference(_ name: String) -> String { "${\(name)}" }
    }
}

extension ModelProvider: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The API and the address.
    public var description: String { address }

    /// The same as the description.
    public var debugDescription: String { address }

    /// A mirror of the description alone, so that a dump shows no key either.
    public var customMirror: Mirror { Mirror(self, children: ["provider": address]) }
}
