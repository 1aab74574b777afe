/// Which broker is meant.
public enum BrokerReference: Sendable, Hashable, CustomStringConvertible {
    /// The embedded one, with its files in a folder.
    case embedded(directory: String)
    /// RabbitMQ.
    case amqp(BrokerURL)

    /// What a broker may be, for error messages.
    static let rule =
        "amqp://user:password@host:port/vhost, the same with amqps, 'embedded', or 'embedded:' and a folder"

    /// The broker without credentials.
    public var description: String {
        switch self {
        case .embedded(let directory): "embedded in \(directory)"
        case .amqp(let url): url.description
        }
    }
}
