import OrderedCollections
import SheafCore
import SheafSources

/// Adds shared arguments to requests, and checks that requests are JSON.
struct SharedArguments: Sendable {
    private let members: [(name: String, text: [UInt8])]

    /// - Parameter object: The arguments; anything but an object counts as none.
    init(_ object: JSONValue) {
        members = (object.objectValue ?? [:]).map { name, value in
            var text: [UInt8] = []
            JSON.write(name, to: &text)
            text.append(UInt8(ascii: ":"))
            value.write(to: &text)
            return (name, text)
        }
    }

    /// Returns the item with the arguments added, or an invalid item that says why this is impossible.
    func apply(to item: SourceItem) -> SourceItem {
        guard case .record(var record) = item.content else { return item }
        // A request that is too large is refused by its size.
        if record.bytes.count > Record.maximumSize { return item }
        guard record.kind == .json else {
            return members.isEmpty ? item : item.refused("it is not JSON, and cannot have shared arguments")
        }
        do {
            if members.isEmpty {
                try JSON.validate(record.bytes)
                return item
            }
            let start = record.bytes.firstIndex { !Self.isSpace($0) }
            guard let start, record.bytes[start] == UInt8(ascii: "{") else {
                try JSON.validate(record.bytes)
                return item.refused("it is no JSON object, and cannot have shared arguments")
            }
            let own = Set(try JSON.slices(of: record.bytes).map(\.name))
            record.bytes = merged(record.bytes, after: start, own: own)
        } catch {
            return item.refused("it is not JSON: \(error)")
        }
        var item = item
        item.content = .record(record)
        return item
    }

    /// Inserts the arguments that the object does not have at its beginning.
    private func merged(_ bytes: [UInt8], after brace: Int, own: Set<String>) -> [UInt8] {
        let missing = members.filter { !own.contains($0.name) }
        if missing.isEmpty { return bytes }
        var output = Array(bytes[...brace])
        output.append(contentsOf: missing.map(\.text).joined(separator: [UInt8(ascii: ",")]))
        if !own.isEmpty { output.append(UInt8(ascii: ",")) }
        output.append(contentsOf: bytes[(brace + 1)...])
        return output
    }

    private static func isSpace(_ byte: UInt8) -> Bool { [0x20, 0x09, 0x0A, 0x0D].contains(byte) }
}

extension SourceItem {
    fileprivate func refused(_ reason: String) -> SourceItem {
        SourceItem(index: index, place: place, content: .invalid(message: "the request is unusable: \(reason)"))
    }
}
