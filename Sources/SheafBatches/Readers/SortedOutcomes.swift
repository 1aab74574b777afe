import SheafCore
import SheafSources

/// Puts outcomes in the order of their index on disk, so that memory does not grow with the batch.
///
/// Lines go to one file as they come; another holds, at 16 bytes an index, where the line of each begins and how long it is.
final class SortedOutcomes {
    private let lines: TemporaryFile
    private let places: TemporaryFile
    private var count = 0
    private var position = 0

    init() throws {
        lines = try TemporaryFile(in: nil)
        places = try TemporaryFile(in: nil)
    }

    func add(_ outcomes: [Outcome]) throws {
        for outcome in outcomes {
            var line: [UInt8] = []
            outcome.writeLine(to: &line)
            let place = [UInt64(lines.size), UInt64(line.count)]
            try line.withUnsafeBytes { try lines.append($0) }
            try place.withUnsafeBytes { try places.write($0, at: outcome.index * 16) }
            count = max(count, outcome.index + 1)
        }
    }

    func next() throws -> [Outcome]? {
        var chunk: [Outcome] = []
        while position < count, chunk.count < 200 {
            defer { position += 1 }
            var place: [UInt64] = [0, 0]
            _ = try place.withUnsafeMutableBytes { try places.read(into: $0, at: position * 16) }
            if place[1] == 0 { continue }  // a task without an outcome
            var line = [UInt8](repeating: 0, count: Int(place[1]))
            _ = try line.withUnsafeMutableBytes { try lines.read(into: $0, at: Int(place[0])) }
            if line.last == UInt8(ascii: "\n") { line.removeLast() }
            chunk.append(try Outcome(line: line))
        }
        return chunk.isEmpty ? nil : chunk
    }
}
