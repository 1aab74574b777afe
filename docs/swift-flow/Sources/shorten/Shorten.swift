import Sheaf

/// Shortens titles: a flow with a record and an output of its own types.
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
        // Work that takes long looks now and then whether it is still wanted, and how much time it has.
        try context.checkCancellation()
        if let left = context.timeLeft, left < .milliseconds(10) {
            throw FlowError(type: "late", message: "there is no time left", isRetryable: true)
        }
        return Short(title: String(article.title.prefix(length)), tags: article.tags?.count ?? 0)
    }
}
