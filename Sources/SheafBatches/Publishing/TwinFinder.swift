import OrderedCollections
package import SheafCore
import SheafFlows
package import SheafSources

/// Finds records that are identical to an earlier one of their batch.
///
/// It keeps a digest of each distinct record, which takes up to about 70 bytes of memory.
package struct TwinFinder: Sendable {
    private let rule: Deduplication
    /// The fields that can hold a record's id, in order of preference.
    private let idFields: [String]
    private var firsts: [RecordDigest: UInt32] = [:]
    /// The number of records that are identical to an earlier one.
    package private(set) var count = 0

    /// - Parameters:
    ///   - rule: Which records are identical.
    ///   - source: Where the records come from; nil if that is a program.
    package init(_ rule: Deduplication, of source: SourceConfiguration?) {
        self.rule = rule
        idFields = source?.idFields ?? SourceConfiguration.defaultIDFields
    }

    /// Returns the number of the first record that is identical, or nil if this record is the first.
    package mutating func first(of record: Record, number: Int) -> Int? {
        let digest = RecordDigest(content(of: record))
        guard let first = firsts[digest].map(Int.init), first != number else {
            firsts[digest] = UInt32(number)
            return nil
        }
        count += 1
        return first
    }

    /// The bytes by which a record is compared; equal only if the records are identical.
    private func content(of record: Record) -> [UInt8] {
        var bytes: [UInt8] = [record.kind == .binary ? 2 : record.kind == .text ? 1 : 0]
        guard record.kind == .json, let value = try? JSON.parse(record.bytes) else { return bytes + record.bytes }
        if case .fields(let names) = rule, let members = value.objectValue,
            names.contains(where: { members[$0] != nil })
        {
            bytes[0] = 3
            for name in names {
                if let member = members[name] { member.writeSorted(to: &bytes) }
                bytes.append(UInt8(ascii: "\n"))
            }
        } else {
            let id = idFields.first { value[$0] != nil }
            value.writeSorted(without: id, to: &bytes)
        }
        return bytes
    }
}

/// 128 bits of SHA-256: for ten million records, two that differ have the same with a probability below 10⁻²⁴.
private struct RecordDigest: Hashable, Sendable {
    private let high: UInt64
    private let low: UInt64

    init(_ content: [UInt8]) {
        let digest = SHA256.digest(content)
        high = digest[..<8].reduce(0) { $0 << 8 | UInt64($1) }
        low = digest[8..<16].reduce(0) { $0 << 8 | UInt64($1) }
    }
}

extension JSONValue {
    /// Appends the value as compact JSON with the members of each object in the order of their names.
    ///
    /// - Parameter left: The member of the value itself to leave out, if any.
    fileprivate func writeSorted(without left: String? = nil, to output: inout [UInt8]) {
        switch self {
        case .array(let elements):
            output.append(UInt8(ascii: "["))
            for element in elements {
                element.writeSorted(to: &output)
                output.append(UInt8(ascii: ","))
            }
            output.append(UInt8(ascii: "]"))
        case .object(let members):
            output.append(UInt8(ascii: "{"))
            for (name, value) in members.sorted(by: { $0.key < $1.key }) where name != left {
                JSON.write(name, to: &output)
                output.append(UInt8(ascii: ":"))
                value.writeSorted(to: &output)
                output.append(UInt8(ascii: ","))
            }
            output.append(UInt8(ascii: "}"))
        default: write(to: &output)
        }
    }
}
