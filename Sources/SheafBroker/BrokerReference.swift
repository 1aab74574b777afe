/// Names a broker by a scheme and an address, such as `amqp://user:password@host` or `embedded:/data/.sheaf`.
///
/// A ``BrokerRegistry`` opens it. No form of printing a reference shows the password that a URL may contain.
public struct BrokerReference: Sendable, Hashable {
    private static let embeddedScheme = "embedded"

    /// What selects the broker's implementation, such as `amqp` or `embedded`; in lower case, without the colon.
    public let scheme: String
    /// What follows the scheme and its colon; may contain a password.
    public let address: String

    /// Parses a reference: a URL, `scheme:address`, or a bare folder, which names the embedded broker in it.
    ///
    /// A bare folder whose name looks like a scheme and a colon needs `embedded:` or `./` before it.
    public init(_ text: String) {
        let scheme = text.prefix { $0 != ":" }
        if scheme.endIndex < text.endIndex, Self.isScheme(scheme) {
            self.init(scheme: scheme.lowercased(), address: String(text[text.index(after: scheme.endIndex)...]))
        } else {
            self.init(scheme: Self.embeddedScheme, address: text)
        }
    }

    private init(scheme: String, address: String) {
        self.scheme = scheme
        self.address = address
    }

    /// Names a RabbitMQ by an `amqp://` or `amqps://` URL.
    public static func rabbitMQ(url: String) -> BrokerReference {
        let reference = BrokerReference(url)
        return ["amqp", "amqps"].contains(reference.scheme) ? reference : BrokerReference(scheme: "amqp", address: url)
    }

    /// Names the embedded broker by the folder that contains its file.
    public static func embedded(directory: String) -> BrokerReference {
        BrokerReference(scheme: embeddedScheme, address: directory)
    }

    /// The whole reference as text; may contain a password.
    package var text: String { "\(scheme):\(address)" }

    /// The folder of an embedded broker, or nil for any other broker.
    package var directory: String? { scheme == Self.embeddedScheme ? address : nil }

    /// Whether a text has the form of a scheme (RFC 3986, section 3.1).
    private static func isScheme(_ text: Substring) -> Bool {
        guard let first = text.utf8.first, isLetter(first) else { return false }
        return text.utf8.allSatisfy { isLetter($0) || (0x30...0x39).contains($0) || [0x2B, 0x2D, 0x2E].contains($0) }
    }

    private static func isLetter(_ byte: UInt8) -> Bool { (0x61...0x7A).contains(byte | 0x20) }
}

extension BrokerReference: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The reference without its password, and without the query of a URL, which may contain secrets too.
    public var description: String { directory == nil ? redacted : text }

    /// The same as the description.
    public var debugDescription: String { description }

    /// A mirror of the description alone, so that a dump shows no password either.
    public var customMirror: Mirror { Mirror(self, children: ["reference": description]) }

    private var redacted: String {
        let isURL = address.hasPrefix("//")
        let start = isURL ? "\(scheme)://" : "\(scheme):"
        // A password that was not encoded may contain '?', '/' or '@', so everything before the last '@' is
        // credentials.
        let rest = isURL ? address.dropFirst(2) : address[...]
        let bare = rest.prefix { $0 != "?" && $0 != "#" }
        guard let at = bare.lastIndex(of: "@") else {
            // An '@' after the '?' may belong to either; then only the scheme is certain not to be a secret.
            return rest.contains("@") ? "\(start)…" : "\(start)\(bare)"
        }
        let user = bare[..<at].prefix { $0 != ":" }
        return "\(start)\(user)\(bare[at...])"
    }
}
