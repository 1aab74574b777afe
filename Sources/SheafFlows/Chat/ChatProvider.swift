/// Whose way of speaking with models a service understands.
public enum ChatProvider: String, Sendable, CaseIterable {
    /// Chat completions and embeddings of OpenAI, which most services offer too.
    case openai
    /// The Messages of Anthropic.
    case anthropic

    /// Where the provider itself answers.
    public var baseURL: String {
        switch self {
        case .openai: "https://api.openai.com/v1"
        case .anthropic: "https://api.anthropic.com"
        }
    }

    /// The headers that say who asks.
    func headers(key: String?) -> [(name: String, value: String)] {
        switch self {
        case .openai: key.map { [("Authorization", "Bearer \($0)")] } ?? []
        case .anthropic: [("anthropic-version", "2023-06-01")] + (key.map { [("x-api-key", $0)] } ?? [])
        }
    }
}
