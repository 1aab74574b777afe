/// The URL of a broker, which may hold credentials and so never shows itself.
public struct BrokerURL: Sendable, Hashable {
    private let text: String

    /// Hides a URL; nil where it does not begin with `amqp://` or `amqps://` or names no place.
    public init?(_ text: String) {
        guard let separator = text.firstRange(of: "://"), ["amqp", "amqps"].contains(text[..<separator.lowerBound]),
            !text.contains(where: \.isWhitespace), separator.upperBound < text.endIndex
        else { return nil }
        self.text = text
    }

    /// Gives the URL away, with its credentials.
    public func reveal() -> String { text }
}

extension BrokerURL: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The URL without its password and without its query.
    public var description: String {
        guard let separator = text.firstRange(of: "://") else { return "amqp://…" }
        let rest = text[separator.upperBound...].prefix { $0 != "?" && $0 != "#" }
        // A password that was not encoded may hold '/' or '@', so what stands before the last '@' is all credentials.
        guard let at = rest.lastIndex(of: "@") else { return "\(text[..<separator.upperBound])\(rest)" }
        let user = rest[..<at].prefix { $0 != ":" }
        return "\(text[..<separator.upperBound])\(user)\(rest[at...])"
    }

    /// The same as the description.
    public var debugDescription: String { description }

    /// A mirror of the description alone.
    public var customMirror: Mirror { Mirror(self, children: ["url": description]) }
}
