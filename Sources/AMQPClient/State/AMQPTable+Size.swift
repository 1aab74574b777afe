extension AMQPTable {
    /// How deep tables and lists may be nested, both ways.
    static let maximumDepth = 64

    /// The bytes of the table on the wire, without the four that tell its length.
    ///
    /// - Throws: `invalidArgument` if a name is too long or the nesting too deep.
    func encodedSize(depth: Int = 0) throws(AMQPError) -> Int {
        guard depth < Self.maximumDepth else {
            throw AMQPError(.invalidArgument, "a table is nested deeper than \(Self.maximumDepth) levels")
        }
        var size = 0
        for entry in self.entries {
            let count = entry.key.utf8.count
            guard count <= 255 else {
                throw AMQPError(.invalidArgument, "the table key \"\(entry.key.prefix(32))…\" has \(count) bytes")
            }
            size += 1 + count + (try entry.value.encodedSize(depth: depth))
        }
        return size
    }
}

extension AMQPValue {
    /// The bytes of the value on the wire, including the one that tells its kind.
    fileprivate func encodedSize(depth: Int) throws(AMQPError) -> Int {
        switch self {
        case .null: return 1
        case .bool, .int8, .uint8: return 2
        case .int16, .uint16: return 3
        case .int32, .uint32, .float: return 5
        case .decimal: return 6
        case .int64, .uint64, .double, .timestamp: return 9
        case .string(let text): return 5 + text.utf8.count
        case .bytes(let bytes): return 5 + bytes.count
        case .table(let table): return 5 + (try table.encodedSize(depth: depth + 1))
        case .array(let values):
            guard depth + 1 < AMQPTable.maximumDepth else {
                throw AMQPError(.invalidArgument, "a list is nested deeper than \(AMQPTable.maximumDepth) levels")
            }
            var size = 5
            for value in values { size += try value.encodedSize(depth: depth + 1) }
            return size
        }
    }
}
