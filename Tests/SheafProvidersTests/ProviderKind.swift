import SheafCore
import SheafFlows
import SheafProviders
import SheafTestTools
import Testing

/// A provider whose client must pass the tests of all providers.
enum ProviderKind: String, CaseIterable, CustomTestStringConvertible {
    case openai, azure, anthropic, gemini, mistral
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
        }
    }

    var apiVersion: String? { self == .datedAzure ? "2025-04-01-preview" : nil }

    /// Returns the configured URL of a server.
    func base(_ server: BatchServer) -> String {
        switch self {
        case .openai: "\(server.url)/v1"
        case .azure, .datedAzure, .anthropic, .gemini: server.url
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
        case .openai, .azure, .datedAzure: "batch_"
        }
    }
    /// Whether the results have a row for each request that did not run.
    var reportsUnrun: Bool { ![.gemini, .mistral].contains(self) }
    /// The status of a request with a wrong key.
    var wrongKey: Int { self == .gemini ? 400 : 401 }
    /// Whether a full queue is reported before anything is created.
    var refusesAtOnce: Bool { [.anthropic, .mistral].contains(self) }
    /// How many memos there are until a submission has been created.
    var memos: Int { 3 }

    /// Makes the flow whose requests are submitted.
    func chat(_ server: BatchServer, key: String, model: String) throws -> ChatFlow {
        try ChatFlow(
            provider: provider,
            baseURL: base(server),
            apiVersion: apiVersion,
            key: "${KEY}",
            model: model,
            messages: [["role": "user", "content": "{{n}}"]],
            variables: ["KEY": key]
        )
    }

    /// Makes the client of the batch API.
    func client(_ flow: any ModelFlow, limits: BatchLimits? = nil) -> any BatchProvider {
        switch self {
        case .openai: OpenAIBatches(flow, limits: limits ?? OpenAIBatches.limits)
        case .azure, .datedAzure:
            OpenAIBatches(flow, dialect: .azure, limits: limits ?? OpenAIBatches.azureLimits)
        case .anthropic: AnthropicBatches(flow, limits: limits ?? AnthropicBatches.limits)
        case .gemini: GeminiBatches(flow, limits: limits ?? GeminiBatches.limits)
        case .mistral: MistralBatches(flow, limits: limits ?? MistralBatches.limits)
        }
    }

    /// Returns `chat` of a flow in a configuration.
    func configuration(_ server: BatchServer) -> String {
        let version = apiVersion.map { ", api_version: \($0)" } ?? ""
        return """
            { provider: \(provider.rawValue), base_url: \(base(server))\(version), api_key: "${CHAT_KEY}", model: m, \
            prompt: "{{n}}" }
            """
    }
}
