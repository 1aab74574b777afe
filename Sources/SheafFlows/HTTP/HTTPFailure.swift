import NIOHTTP1
import SheafCore

/// What an answer other than success means for a task.
enum HTTPFailure {
    /// How much of the body stands in the message, in bytes.
    private static let bodyExcerpt = 500

    /// Whether the same request may be answered otherwise a little later.
    static func mayPass(_ status: Int) -> Bool { status == 408 || status == 425 || status == 429 || status >= 500 }

    /// The error for an answer, or nil for one of success.
    ///
    /// - Parameters:
    ///   - answer: What was answered.
    ///   - call: What was asked.
    ///   - secrets: What must not stand in the message.
    ///   - reason: What the body says, where its format is known.
    /// - Returns: A ``FlowThrottle`` where the server wants to be left alone, else a ``FlowError``.
    static func of(
        _ answer: HTTPAnswer,
        to call: HTTPCall,
        secrets: Secrets,
        reason: String? = nil
    ) -> (any Error)? {
        guard !(200..<300).contains(answer.status) else { return nil }
        let phrase = HTTPResponseStatus(statusCode: answer.status).reasonPhrase
        let text = reason ?? String(decoding: answer.body.prefix(bodyExcerpt), as: UTF8.self)
        let words = text.split(whereSeparator: { $0.isWhitespace || $0.isNewline }).joined(separator: " ")
        let message = secrets.masked(
            "\(call.description) answered \(answer.status) \(phrase)\(words.isEmpty ? "" : ": \(words)")"
        )
        let delay = answer.header("retry-after").flatMap { RetryAfter.parse($0) }
        if answer.status == 429 || mayPass(answer.status) && delay != nil {
            return FlowThrottle(delay: delay, message: message)
        }
        return FlowError(type: "http-\(answer.status)", message: message, isRetryable: mayPass(answer.status))
    }
}
