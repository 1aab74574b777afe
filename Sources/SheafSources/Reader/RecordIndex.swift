/// The spans of many records in a temporary file, in entries of fixed size for random access.
final class RecordIndex {
    /// The stored form of a span: `origin` has the defect in its low byte and the file in the other bytes.
    private typealias Entry = (offset: Int, length: Int, line: Int, origin: Int)
    private static let entrySize = MemoryLayout<Entry>.size
    private static let entriesPerBlock = 2048

    private let storage: TemporaryFile
    private var pending: [Entry] = []
    private(set) var count = 0

    init(in folder: String?) throws(SourceError) {
        storage = try TemporaryFile(in: folder)
    }

    func append(_ span: RecordSpan) throws {
        pending.append((span.offset, span.length, span.line, span.file << 8 | Int(span.defect?.rawValue ?? 0)))
        count += 1
        if pending.count == Self.entriesPerBlock { try flush() }
    }

    /// Writes pending entries; must be called before reading.
    func flush() throws {
        try pending.withUnsafeBytes { try storage.append($0) }
        pending.removeAll(keepingCapacity: true)
    }

    /// The span of a record.
    subscript(_ number: Int) -> RecordSpan {
        get throws(SourceError) {
            var entry: Entry = (0, 0, 0, 0)
            try withUnsafeMutableBytes(of: &entry) { (bytes) throws(SourceError) in
                _ = try storage.read(into: bytes, at: number * Self.entrySize)
            }
            return Self.span(entry)
        }
    }

    /// Calls `body` with each span in input order.
    func forEach(_ body: (Int, RecordSpan) throws -> Void) throws {
        var number = 0
        while number < count {
            var block = [Entry](repeating: (0, 0, 0, 0), count: min(Self.entriesPerBlock, count - number))
            try block.withUnsafeMutableBytes { bytes in
                _ = try storage.read(into: bytes, at: number * Self.entrySize)
            }
            try Task.checkCancellation()
            for entry in block {
                try body(number, Self.span(entry))
                number += 1
            }
        }
    }

    /// Returns a uniform random sample of the spans, in input order.
    ///
    /// Reads the index once and selects each span with the probability of spans still wanted over spans left (selection
    /// sampling, Knuth's Algorithm S).
    func sample(_ wanted: Int, seed: UInt64, in folder: String?) throws -> RecordIndex {
        let chosen = try RecordIndex(in: folder)
        var generator = SplitMix64(seed: seed)
        try forEach { number, span in
            if generator.next(below: count - number) < wanted - chosen.count { try chosen.append(span) }
        }
        try chosen.flush()
        return chosen
    }

    private static func span(_ entry: Entry) -> RecordSpan {
        RecordSpan(
            file: entry.origin >> 8,
            offset: entry.offset,
            length: entry.length,
            line: entry.line,
            defect: RecordSpan.Defect(rawValue: UInt8(truncatingIfNeeded: entry.origin))
        )
    }
}
