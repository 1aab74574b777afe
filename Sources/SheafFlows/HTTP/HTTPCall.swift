import Foundation
import NIOHTTP1
import SheafCore

/// A request that is ready to be sent.
struct HTTPCall: Sendable {
    var method: String
    var url: HTTPAddress
    var headers: [(name: String, value: String)] = []
    var body: [UInt8]?

    /// The method and the URL, without secrets.
    var description: String { "\(method) \(url)" }

    /// Returns the request that follows a redirect, as browsers do it.
    ///
    /// Another server gets no header that may be meant only for the first one.
    func redirected(to target: HTTPAddress, status: Int) -> HTTPCall {
        var call = self
        call.url = target
        if status == 303 && method != "HEAD" || (status == 301 || status == 302) && method == "POST" {
            call.method = "GET"
            call.body = nil
            call.headers.removeAll { $0.name.lowercased().hasPrefix("content-") }
        }
        if !target.hasSameOrigin(as: url) {
            call.headers.removeAll { !Self.harmless.contains($0.name.lowercased()) }
        }
        return call
    }

    private static let harmless: Set<String> = [
        "accept", "accept-language", "content-type", "content-language", "user-agent",
    ]
}

/// A server's answer.
struct HTTPAnswer: Sendable {
    var status: Int
    var headers: [(name: String, value: String)]
    var body: [UInt8]

    /// Returns the first header of that name, which is given in lower case.
    func header(_ name: String) -> String? { headers.first { $0.name.lowercased() == name }?.value }
}

/// Decides what an answer other than success means for a task.
enum HTTPFailure {
    /// How much of the body a message quotes, in bytes.
    private static let bodyExcerpt = 500

    /// Returns whether the same request may succeed a little later.
    private static func mayPass(_ status: Int) -> Bool {
        status == 408 || status == 425 || status == 429 || status >= 500
    }

    /// Returns the error for an answer, or nil if the answer is a success.
    ///
    /// - Parameters:
    ///   - answer: The answer.
    ///   - call: The request.
    ///   - secrets: The values that the message must not contain.
    ///   - reason: The error in the body, if the format of the body is known.
    /// - Returns: A ``FlowThrottle`` if the server asks for a pause, otherwise a ``FlowError``.
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

/// The time that a server asks for in `Retry-After`: seconds, or a date.
enum RetryAfter {
    /// The longest accepted time.
    static let longest = Duration.seconds(3_600)

    /// Parses the header; returns nil if it is neither seconds nor a date.
    static func parse(_ text: String, now: Date = Date()) -> Duration? {
        let text = text.trimmingCharacters(in: .whitespaces)
        if let seconds = Double(text) {
            guard seconds >= 0 else { return nil }
            return min(.milliseconds((min(seconds, 1e6) * 1_000).rounded(.up)), longest)
        }
        guard let date = date(text) else { return nil }
        return min(max(.zero, .milliseconds((date.timeIntervalSince(now) * 1_000).rounded(.up))), longest)
    }

    /// Parses a date in one of the forms of HTTP; returns nil if it is none.
    static func date(_ text: String) -> Date? {
        for format in ["EEE, dd MMM yyyy HH:mm:ss zzz", "EEEE, dd-MMM-yy HH:mm:ss zzz", "EEE MMM d HH:mm:ss yyyy"] {
            let formatter = DateFormatter()
            formatter.locale = Locale(identifier: "en_US_POSIX")
            formatter.timeZone = TimeZone(secondsFromGMT: 0)
            formatter.dateFormat = format
            if let date = formatter.date(from: text) { return date }
        }
        return nil
    }
}
