/// A stream that keeps what was read in a temporary file, so that it can be read again.
///
/// It takes from the stream only what is asked for.
final class SpooledStream: ByteInput {
    private let stream: StreamFile
    private let spool: TemporaryFile
    private var hasEnded = false

    init(_ stream: StreamFile, spool: TemporaryFile) {
        self.stream = stream
        self.spool = spool
    }

    /// How much is kept.
    var size: Int { spool.size }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws -> Int {
        if offset < spool.size { return try spool.read(into: buffer, at: offset) }
        if hasEnded { return 0 }
        let count = try stream.read(into: buffer, at: offset)
        hasEnded = count == 0
        try spool.append(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        return count
    }

    func isReady(at offset: Int) -> Bool { offset < spool.size || hasEnded || stream.isReady(at: offset) }
}
