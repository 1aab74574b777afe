import SheafTestTools
import Testing

/// A provider of batch APIs that is imitated.
enum BulkProvider: String, CaseIterable, CustomTestStringConvertible {
    case openai, azure, datedAzure, anthropic, gemini, mistral

    var testDescription: String { rawValue }

    /// Returns a configuration whose flow `ask` asks a server in bulk.
    func configuration(_ server: BatchServer, bulk: String) -> String {
        """
        flows:
          ask:
            chat: { \(service(server)), api_key: "\(BatchServer.key)", model: m, prompt: "{{n}}" }
            bulk: \(bulk)
            retries: 3
            retry_delay: 20ms
        """
    }

    private func service(_ server: BatchServer) -> String {
        switch self {
        case .openai: "provider: openai, base_url: \(server.base)"
        case .azure: "provider: azure, base_url: \(server.url)"
        case .datedAzure: "provider: azure, base_url: \(server.url), api_version: 2025-04-01-preview"
        case .anthropic: "provider: anthropic, base_url: \(server.url)"
        case .gemini: "provider: gemini, base_url: \(server.url)"
        case .mistral: "provider: mistral, base_url: \(server.url)/mistral/v1"
        }
    }
}
