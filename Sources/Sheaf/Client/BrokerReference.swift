/// Which broker to use: a RabbitMQ by its URL, or the embedded one in a folder.
///
/// Printing one never shows the password that the URL may hold.
public enum BrokerReference: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
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

    /// The reference without credentials.
    public var description: String {
        switch self {
        case .embedded(let directory): return "embedded:\(directory)"
        case .rabbitMQ(let url):
            guard let at = url.lastIndex(of: "@") else { return url }
            return (url.hasPrefix("amqps:") ? "amqps://…" : "amqp://…") + url[at...]
        }
    }

    /// The reference without credentials.
    public var debugDescription: String { description }
    /// Nothing but the description, so that a dump shows no password either.
    public var customMirror: Mirror { Mirror(self, children: ["reference": description]) }
}
