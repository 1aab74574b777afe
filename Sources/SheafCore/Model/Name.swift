/// The name of a flow, a batch or a namespace: 1 to 64 of `A-Z a-z 0-9 _ -`.
///
/// Names become parts of queue names, routing keys and paths, so no other characters are allowed.
public struct Name: Sendable, Hashable, Comparable, CustomStringConvertible, ExpressibleByStringLiteral {
    /// The name as a string.
    public let text: String

    /// Creates a name from a run-time string; returns nil if the string breaks the ``rule``.
    public init?(_ text: some StringProtocol) {
        guard (1...64).contains(text.utf8.count), text.utf8.allSatisfy(Self.isAllowed), text != "last" else {
            return nil
        }
        self.text = String(text)
    }

    /// Creates a name from a literal, such as `let flow: Name = "wordcount"`.
    ///
    /// - Precondition: The literal follows the ``rule``.
    public init(stringLiteral text: String) {
        guard let name = Name(text) else { preconditionFailure("'\(text)' is not a name: a name has \(Self.rule)") }
        self = name
    }

    /// The rule for names, for error messages.
    public static let rule = "1 to 64 letters, digits, '_' or '-', and not the word 'last'"

    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
    }

    /// The name as a string.
    public var description: String { text }

    /// Compares names as strings.
    public static func < (left: Name, right: Name) -> Bool { left.text < right.text }

    /// Creates the id of a new batch: short, sorted by creation time, and unique in practice.
    ///
    /// It has nine characters of milliseconds and four random characters, in Crockford's base 32.
    package static func newBatch(
        at time: Timestamp,
        using generator: inout some RandomNumberGenerator
    ) -> Name {
        let alphabet = Array("0123456789abcdefghjkmnpqrstvwxyz".utf8)
        func encode(_ value: UInt64, _ width: Int) -> [UInt8] {
            (0..<width).reversed().map { alphabet[Int(value >> (5 * UInt64($0)) & 31)] }
        }
        let digits = encode(UInt64(clamping: time.milliseconds), 9) + encode(generator.next(), 4)
        return Name(trusted: String(decoding: digits, as: UTF8.self))
    }

    private init(trusted text: String) { self.text = text }
}
