/// Which broker to use: a RabbitMQ by its URL, or the embedded one in a folder.
///
/// Printing one, in whatever way, never shows the password that the URL may hold.
public enum BrokerReference: Sendable, Hashable {
    /// A RabbitMQ, by an `amqp://` or `amqps://` URL.
    case rabbitMQ(url: String)
    /// The embedded broker, by the folder that holds its file.
    case embedded(directory: String)

    /// Reads a reference: a URL that begins with `amqp://` or `amqps://`, else a folder, with or without `embedded:`.
    public init(_ text: String) {
        if text.hasPrefix("amqp://") || text.hasPrefix("amqps://") {
            self = .rabbitMQ(url: text)
        } else {
            self = .embedded(directory: text.hasPrefix("embedded:") ? String(text.dropFirst(9)) : text)
        }
    }
}

extension BrokerReference: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The reference without password, and without the URL's query, which may name secrets too.
    public var description: String {
        switch self {
        case .embedded(let directory): "embedded:\(directory)"
        case .rabbitMQ(let url): Self.redacted(url)
        }
    }

    /// The same as the description.
    public var debugDescription: String { description }

    /// A mirror of the description alone, so that a dump shows no password either.
    public var customMirror: Mirror { Mirror(self, children: ["reference": description]) }

    private static func redacted(_ url: String) -> String {
        guard let separator = url.firstRange(of: "://") else { return "amqp://…" }
        let scheme = url[..<separator.upperBound]
        // A password that was not encoded may hold '?', '/' or '@', so what stands before the last '@' is all credentials.
        let rest = url[separator.upperBound...]
        let bare = rest.prefix { $0 != "?" && $0 != "#" }
        guard let at = bare.lastIndex(of: "@") else {
            // An '@' beyond the '?' may belong to either; then nothing but the scheme is sure to be no secret.
            return rest.contains("@") ? "\(scheme)…" : "\(scheme)\(bare)"
        }
        let user = bare[..<at].prefix { $0 != ":" }
        return "\(scheme)\(user)\(bare[at...])"
    }
}
