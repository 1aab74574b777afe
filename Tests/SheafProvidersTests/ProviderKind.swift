import SheafCore
import SheafFlows
import SheafProviders
import SheafTestTools
import Testing

/// A provider whose client must pass the tests of all providers.
enum ProviderKind: String, CaseIterable, CustomTestStringConvertible {
    case openai, azure, anthropic, gemini, mistral, vertex, bedrock
    /// Azure with a version of its API.
    case datedAzure

    var testDescription: String { rawValue }

    /// How the configuration names it.
    var provider: ChatProvider {
        switch self {
        case .openai: .openai
        case .azure, .datedAzure: .azure
        case .anthropic: .anthropic
        case .gemini: .gemini
        case .mistral: .mistral
        case .vertex: .vertex
        case .bedrock: .bedrock
        }
    }

    var apiVersion: String? { self == .datedAzure ? "2025-04-01-preview" : nil }

    /// Returns the configured URL of a server.
    func base(_ server: BatchServer) -> String {
        switch self {
        case .openai: "\(server.url)/v1"
        case .azure, .datedAzure, .anthropic, .gemini, .vertex, .bedrock: server.url
        case .mistral: "\(server.url)/mistral/v1"
        }
    }

    /// Whether the provider takes the requests as a file.
    var hasFiles: Bool { self != .anthropic }
    /// Whether submissions end after a day, whatever is left.
    var expires: Bool { provider != .azure }
    /// The beginning of the provider's ids of submissions.
    var prefix: String {
        switch self {
        case .anthropic: "msgbatch_"
        case .gemini: "g"
        case .mistral: "job-"
        case .vertex: "7"
        case .bedrock: "b"
        case .openai, .azure, .datedAzure: "batch_"
        }
    }
    /// Whether the results have a row for each request that did not run.
    var reportsUnrun: Bool { ![.gemini, .mistral, .vertex, .bedrock].contains(self) }
    /// Whether the results are in the order of the requests.
    var keepsOrder: Bool { self == .bedrock }
    /// The status of a request with a wrong key.
    var wrongKey: Int { [.gemini: 400, .bedrock: 403][self] ?? 401 }
    /// Whether a full queue is reported before anything is created.
    var refusesAtOnce: Bool { [.anthropic, .mistral, .bedrock].contains(self) }
    /// How many memos there are until a submission has been created.
    var memos: Int { 3 }

    /// Makes the flow whose requests are submitted.
    func chat(_ server: BatchServer, key: String, model: String) throws -> ChatFlow {
        try ChatFlow(
            provider: provider,
            baseURL: base(server),
            apiVersion: apiVersion,
            cloud: cloud(server, key: "${KEY}"),
            key: self == .bedrock ? nil : "${KEY}",
            model: model,
            messages: [["role": "user", "content": "{{n}}"]],
            variables: ["KEY": key]
        )
    }

    /// Returns what is configured about the cloud.
    func cloud(_ server: BatchServer, key: String) -> CloudOptions {
        var options = CloudOptions()
        switch self {
        case .vertex:
            options.project = "tests"
            options.location = "us-central1"
            options.storage = "gs://tests-bucket/sheaf"
        case .bedrock:
            options.region = "us-east-1"
            options.accessKey = key
            options.secretKey = key
            options.role = Self.role
            options.minimumRecords = 1
            options.jobsURL = server.url
            options.storage = "s3://tests-bucket/sheaf"
        default: return options
        }
        options.storageURL = server.url
        return options
    }

    private static let role = "arn:aws:iam::123456789012:role/batches"

    /// Makes the client of the batch API.
    func client(_ flow: any ModelFlow, limits: BatchLimits? = nil) -> any BatchProvider {
        switch self {
        case .openai: OpenAIBatches(flow, limits: limits ?? OpenAIBatches.limits)
        case .azure, .datedAzure:
            OpenAIBatches(flow, dialect: .azure, limits: limits ?? OpenAIBatches.azureLimits)
        case .anthropic: AnthropicBatches(flow, limits: limits ?? AnthropicBatches.limits)
        case .gemini: GeminiBatches(flow, limits: limits ?? GeminiBatches.limits)
        case .mistral: MistralBatches(flow, limits: limits ?? MistralBatches.limits)
        case .vertex: VertexBatches(flow, limits: limits ?? VertexBatches.limits)
        case .bedrock: BedrockBatches(flow, limits: limits ?? BedrockBatches.limits)
        }
    }

    /// Returns `chat` of a flow in a configuration.
    func configuration(_ server: BatchServer) -> String {
        let version = apiVersion.map { ", api_version: \($0)" } ?? ""
        let own =
            switch self {
            case .vertex: "project: tests, location: us-central1, storage: \"gs://tests-bucket/sheaf\", api_key"
            case .bedrock:
                """
                region: us-east-1, role: "\(Self.role)", jobs_url: \(server.url), storage: "s3://tests-bucket/sheaf", \
                minimum_records: 1, access_key: "${CHAT_KEY}", secret_key
                """
            default: "api_key"
            }
        let storage = [.vertex, .bedrock].contains(self) ? "storage_url: \(server.url), " : ""
        return """
            { provider: \(provider.rawValue), base_url: \(base(server))\(version), \(storage)\(own): "${CHAT_KEY}", \
            model: m, prompt: "{{n}}" }
            """
    }
}
