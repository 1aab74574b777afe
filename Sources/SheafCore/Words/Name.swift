/// The name of a flow, a batch or a namespace: 1 to 64 of `A-Z a-z 0-9 _ -`.
///
/// Names become parts of queue names, routing keys and paths, so nothing else is let in.
public struct Name: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// The name as text.
    public let text: String

    /// Checks a name; nil where it is not one.
    public init?(_ text: some StringProtocol) {
        guard (1...64).contains(text.utf8.count), text.utf8.allSatisfy(Self.isAllowed), text != "last" else {
            return nil
        }
        self.text = String(text)
    }

    /// What a name may be, for error messages.
    public static let rule = "1 to 64 letters, digits, '_' or '-', and not the word 'last'"

    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
    }

    /// The name as text.
    public var description: String { text }

    /// Compares by text.
    public static func < (left: Name, right: Name) -> Bool { left.text < right.text }

    /// Makes the id of a new batch: short, sorted by the time of its making, unique in practice.
    ///
    /// Nine characters of milliseconds and four of chance, in Crockford's base 32.
    public static func newBatch(
        at moment: Timestamp,
        using generator: inout some RandomNumberGenerator
    ) -> Name {
        let alphabet = Array("0123456789abcdefghjkmnpqrstvwxyz".utf8)
        func encode(_ value: UInt64, _ width: Int) -> [UInt8] {
            (0..<width).reversed().map { alphabet[Int(value >> (5 * UInt64($0)) & 31)] }
        }
        let digits = encode(UInt64(clamping: moment.milliseconds), 9) + encode(generator.next(), 4)
        return Name(trusted: String(decoding: digits, as: UTF8.self))
    }

    private init(trusted text: String) { self.text = text }
}
