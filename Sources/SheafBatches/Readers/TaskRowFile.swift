import Glibc
import SheafCore
import SheafSources

/// The latest outcome of each task without its payload, in temporary files; memory does not grow with the batch.
///
/// One file has a line of JSON per outcome: the members of a line in the results log that a list shows, with the offset
/// of its entry and the place of the task's line before it. Another file has the place of each task's latest line, 8
/// bytes per task.
final class TaskRowFile {
    /// The place of a line: its offset and its length.
    struct Place: Equatable {
        let packed: UInt64
        var offset: Int { Int(packed >> 16) }
        var length: Int { Int(packed & 0xFFFF) }

        init(packed: UInt64) { self.packed = packed }
        init(offset: Int, length: Int) { packed = UInt64(offset) << 16 | UInt64(length) }
    }

    /// A line, decoded.
    struct Row {
        let outcome: Outcome
        /// The offset of the entry in the results log.
        let offset: Int64
        /// The task's line before this one.
        let previous: Place?
    }

    private let lines: TemporaryFile
    private let places: TemporaryFile
    private var unwritten: [UInt8] = []

    private static let maximumLine = 16 << 10
    private static let bufferSize = 256 << 10

    init() throws {
        lines = try TemporaryFile(in: nil)
        places = try TemporaryFile(in: nil)
    }

    /// Adds the outcome of a task, which becomes its latest.
    func add(_ line: [UInt8], index: Int, at offset: Int64) throws {
        var row = Self.trimmed(line) ?? []
        if row.isEmpty || row.count > Self.maximumLine {
            guard let outcome = try? Outcome(line: line) else { return }
            row = Self.trimmed(outcome)
        }
        let previous = try place(of: index)
        row.removeLast()
        row.append(contentsOf: ",\"log\":\"\(offset)\"".utf8)
        if let previous { row.append(contentsOf: ",\"previous\":\"\(previous.packed)\"".utf8) }
        row.append(contentsOf: "}\n".utf8)
        let place = [Place(offset: lines.size + unwritten.count, length: row.count).packed]
        unwritten += row
        if unwritten.count >= Self.bufferSize { try flush() }
        try place.withUnsafeBytes { try places.write($0, at: index * 8) }
    }

    /// Writes what is buffered.
    func flush() throws {
        if unwritten.isEmpty { return }
        try unwritten.withUnsafeBytes { try lines.append($0) }
        unwritten.removeAll(keepingCapacity: true)
    }

    /// The latest line of a task, or nil if there is none.
    func row(of index: Int) throws -> Row? {
        guard let place = try place(of: index) else { return nil }
        return try row(at: place)
    }

    /// The line at a place.
    func row(at place: Place) throws -> Row? { Self.decode(try bytes(at: place)) }

    /// The bytes of the latest line of a task, or nil if there is none.
    func bytes(of index: Int) throws -> [UInt8]? {
        guard let place = try place(of: index) else { return nil }
        return try bytes(at: place)
    }

    static func decode(_ line: [UInt8]) -> Row? {
        guard let outcome = try? Outcome(line: line),
            let members = try? JSON.members(["log", "previous"], of: line),
            let offset = members["log"]?.stringValue.flatMap({ Int64($0) })
        else { return nil }
        let previous = members["previous"]?.stringValue.flatMap { UInt64($0) }.map { Place(packed: $0) }
        return Row(outcome: outcome, offset: offset, previous: previous)
    }

    private func place(of index: Int) throws -> Place? {
        var packed: [UInt64] = [0]
        _ = try packed.withUnsafeMutableBytes { try places.read(into: $0, at: index * 8) }
        return packed[0] == 0 ? nil : Place(packed: packed[0])
    }

    private func bytes(at place: Place) throws -> [UInt8] {
        if place.offset >= lines.size {
            let start = place.offset - lines.size
            return Array(unwritten[start..<start + place.length - 1])
        }
        var line = [UInt8](repeating: 0, count: place.length)
        _ = try line.withUnsafeMutableBytes { try lines.read(into: $0, at: place.offset) }
        line.removeLast()
        return line
    }

    // MARK: Searching

    /// Finds the tasks of a record, at most `limit`, by reading all lines.
    func indices(ofRecord id: String, limit: Int) throws -> [Int] {
        try flush()
        var wanted = Array("\"record_id\":".utf8)
        JSON.write(id, to: &wanted)
        var found: Set<Int> = []
        var block = [UInt8](repeating: 0, count: 1 << 20)
        var position = 0
        while position < lines.size, found.count < limit {
            let count = try block.withUnsafeMutableBytes { try lines.read(into: $0, at: position) }
            guard let end = block[..<count].lastIndex(of: UInt8(ascii: "\n")) else { break }
            for line in Self.lines(with: wanted, in: block, upTo: end) {
                guard let row = Self.decode(Array(block[line])), row.outcome.recordID == id else { continue }
                found.insert(row.outcome.index)
                if found.count == limit { break }
            }
            position += end + 1
        }
        return found.sorted()
    }

    /// The lines before the line break at `end` that have a member, whose bytes follow a comma.
    private static func lines(with member: [UInt8], in block: [UInt8], upTo end: Int) -> [Range<Int>] {
        block.withUnsafeBytes { bytes in
            var found: [Range<Int>] = []
            guard let base = bytes.baseAddress else { return found }
            func next(_ byte: UInt8, _ start: Int, _ end: Int) -> Int? {
                memchr(base + start, Int32(byte), end - start).map { UnsafeRawPointer($0) - base }
            }
            var start = 0
            while start < end {
                let lineEnd = next(UInt8(ascii: "\n"), start, end) ?? end
                var position = start
                while let comma = next(UInt8(ascii: ","), position, lineEnd) {
                    position = comma + 1
                    if lineEnd - position > member.count, memcmp(base + position, member, member.count) == 0 {
                        found.append(start..<lineEnd)
                        break
                    }
                }
                start = lineEnd + 1
            }
            return found
        }
    }

    // MARK: Trimming

    private static let kept: Set<String> = [
        "index", "generation", "status", "record_id", "attempts", "started_at", "finished_at", "worker",
    ]

    /// The members of a success that a list shows, copied as they are; nil for other lines.
    private static func trimmed(_ line: [UInt8]) -> [UInt8]? {
        guard let slices = try? JSON.slices(of: line) else { return nil }
        var row: [UInt8] = []
        row.reserveCapacity(256)
        var seen: Set<String> = []
        for (name, range) in slices {
            if name == "error" { return nil }
            guard kept.contains(name) else { continue }
            // An escape may be written in several ways, and a search compares bytes.
            guard seen.insert(name).inserted, !line[range].contains(UInt8(ascii: "\\")) else { return nil }
            row.append(row.isEmpty ? UInt8(ascii: "{") : UInt8(ascii: ","))
            JSON.write(name, to: &row)
            row.append(UInt8(ascii: ":"))
            row.append(contentsOf: line[range])
        }
        row.append(UInt8(ascii: "}"))
        return row.contains(UInt8(ascii: "\n")) ? nil : row
    }

    private static func trimmed(_ outcome: Outcome) -> [UInt8] {
        var outcome = outcome
        // The error of an attempt is cut in the same way.
        func cut(_ type: String, _ message: String) -> AttemptError {
            AttemptError(attempt: 0, type: type, message: message, at: outcome.finishedAt, worker: outcome.worker)
        }
        if let error = outcome.error {
            let cut = cut(error.type, error.message)
            outcome.error = Outcome.Failure(type: cut.type, message: cut.message)
        }
        outcome.worker = cut("", "").worker
        outcome.recordID = String(outcome.recordID.unicodeScalars.prefix(Record.maximumIDSize))
        (outcome.output, outcome.record, outcome.parameters, outcome.errors) = (nil, nil, nil, [])
        outcome.usage = Usage()
        var line: [UInt8] = []
        outcome.writeLine(to: &line)
        line.removeLast()
        return line
    }
}
