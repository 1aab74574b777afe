import OrderedCollections
import SheafCore

/// Bytes from outside as text of a page: JSON with line breaks, and never more than 16 KiB.
struct CodeBlock {
    let name: String
    let text: String
    let size: String
    /// What is missing, or nil if all is there.
    let cut: String?
    /// The address of all of it, or nil if there is none.
    let download: String?
    /// Whether it is shown at once, because it is short.
    let isOpen: Bool

    static let limit = 16 << 10
    private static let maximumParsed = 256 << 10

    init(_ bytes: [UInt8], name: String, download: String?) {
        self.name = name
        self.download = download
        size = Figures.size(bytes.count)
        var whole: [UInt8]
        if bytes.count <= Self.maximumParsed, let value = try? JSON.parse(bytes) {
            whole = []
            Self.write(value, indent: 0, to: &whole)
        } else {
            whole = bytes
        }
        if whole.count > Self.limit {
            text = String(decoding: whole.prefix(Self.limit), as: UTF8.self) + "…"
            cut = "The first 16 KiB are shown."
        } else {
            text = String(decoding: whole, as: UTF8.self)
            cut = nil
        }
        isOpen = whole.count { $0 == UInt8(ascii: "\n") } < 24 && whole.count < 4000
    }

    /// Appends JSON with two spaces for each level; stops once it is longer than any page shows.
    private static func write(_ value: JSONValue, indent: Int, to output: inout [UInt8]) {
        guard output.count <= limit else { return }
        let inner = [UInt8](repeating: 0x20, count: min(2 * (indent + 1), 100))
        let outer = inner.dropLast(2)
        switch value {
        case .array(let elements) where !elements.isEmpty:
            output += "[\n".utf8
            for (place, element) in elements.enumerated() {
                output += inner
                write(element, indent: indent + 1, to: &output)
                output += place < elements.count - 1 ? ",\n".utf8 : "\n".utf8
            }
            output += outer
            output += "]".utf8
        case .object(let members) where !members.isEmpty:
            output += "{\n".utf8
            for (place, member) in members.enumerated() {
                output += inner
                JSON.write(member.key, to: &output)
                output += ": ".utf8
                write(member.value, indent: indent + 1, to: &output)
                output += place < members.count - 1 ? ",\n".utf8 : "\n".utf8
            }
            output += outer
            output += "}".utf8
        default: value.write(to: &output)
        }
    }
}
