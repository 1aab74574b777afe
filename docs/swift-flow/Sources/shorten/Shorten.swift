import Sheaf

/// Shortens titles: a flow whose record and output have their own types.
struct Shorten: TypedFlow {
    struct Article: Decodable {
        var title: String
        var tags: [String]?
    }

    struct Short: Encodable {
        var title: String
        var tags: Int
    }

    struct Parameters: Decodable {
        var length: Int?
    }

    func run(_ article: Article, in context: FlowContext) async throws -> Short {
        let length = try context.parameters(as: Parameters.self).length ?? 20
        guard length > 0 else { throw FlowError(type: "length", message: "no title has a length of \(length)") }
        // Long work checks from time to time whether it was cancelled, and how much time is left.
        try context.checkCancellation()
        if let left = context.timeLeft, left < .milliseconds(10) {
            throw FlowError(type: "late", message: "there is no time left", isRetryable: true)
        }
        return Short(title: String(article.title.prefix(length)), tags: article.tags?.count ?? 0)
    }
}
