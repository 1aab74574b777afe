import SheafCore
import SystemPackage

/// Puts outcomes in the order of their index on disk, so that memory does not grow with the batch.
///
/// Lines go to one file as they come; another holds, at 16 bytes an index, where the line of each begins and how long it is.
final class SortedOutcomes {
    private let lines: FileDescriptor
    private let places: FileDescriptor
    private var written: Int64 = 0
    private var count = 0
    private var position = 0

    init() throws {
        lines = try Self.temporaryFile()
        do {
            places = try Self.temporaryFile()
        } catch {
            try? lines.close()
            throw error
        }
    }

    deinit {
        try? lines.close()
        try? places.close()
    }

    func add(_ outcomes: [Outcome]) throws {
        for outcome in outcomes {
            var line: [UInt8] = []
            outcome.writeLine(to: &line)
            try lines.writeAll(toAbsoluteOffset: written, line)
            let place = [UInt64(written), UInt64(line.count)]
            try place.withUnsafeBytes { _ = try places.writeAll(toAbsoluteOffset: Int64(outcome.index) * 16, $0) }
            written += Int64(line.count)
            count = max(count, outcome.index + 1)
        }
    }

    func next() throws -> [Outcome]? {
        var chunk: [Outcome] = []
        while position < count, chunk.count < 200 {
            defer { position += 1 }
            let place = try places.read(at: Int64(position) * 16, count: 16).withUnsafeBytes {
                (
                    offset: $0.loadUnaligned(as: UInt64.self),
                    length: $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
                )
            }
            if place.length == 0 { continue }  // a task without an outcome
            var line = try lines.read(at: Int64(place.offset), count: Int(place.length))
            if line.last == UInt8(ascii: "\n") { line.removeLast() }
            chunk.append(try Outcome(line: line))
        }
        return chunk.isEmpty ? nil : chunk
    }

    /// A file without a name: it is gone when it is closed, however the process ends.
    private static func temporaryFile() throws -> FileDescriptor {
        let name = "/tmp/sheaf-\(UInt64.random(in: 0...UInt64.max))"
        let file = try FileDescriptor.open(
            FilePath(name),
            .readWrite,
            options: [.create, .exclusiveCreate, .closeOnExec],
            permissions: .ownerReadWrite
        )
        _ = unlinkFile(name)
        return file
    }
}

extension FileDescriptor {
    fileprivate func read(at offset: Int64, count: Int) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var filled = 0
        while filled < count {
            let read = try bytes.withUnsafeMutableBytes { buffer in
                try self.read(
                    fromAbsoluteOffset: offset + Int64(filled),
                    into: UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])
                )
            }
            if read == 0 { break }
            filled += read
        }
        return bytes
    }
}
