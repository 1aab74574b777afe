import Glibc

/// An input that is read by offset.
protocol ByteInput: AnyObject {
    /// Reads available bytes, at most as many as fit in the buffer; returns 0 at the end.
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws -> Int

    /// Returns whether reading at an offset returns without waiting for another process.
    func isReady(at offset: Int) -> Bool
}

/// A regular file, read up to the size that it had when the input was opened.
///
/// Because of that limit, every pass reads the same records, even if another process keeps appending to the file.
final class RegularFile: ByteInput {
    private let descriptor: Descriptor
    private let file: InputFile

    init(_ file: InputFile) throws(SourceError) {
        self.file = file
        self.descriptor = try Descriptor.open(file.path)
        let status = try descriptor.status(path: file.path)
        guard status.st_size >= file.size, status.st_size > file.size || status.modified == file.modified else {
            throw .changed(file.path.display)
        }
    }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws -> Int {
        let wanted = min(buffer.count, max(file.size - offset, 0))
        guard let count = descriptor.readAll(into: .init(rebasing: buffer[..<wanted]), at: offset) else {
            throw SourceError.system(errno, path: file.path.display)
        }
        guard count == wanted else { throw SourceError.changed(file.path.display) }
        return count
    }

    func isReady(at offset: Int) -> Bool { true }
}

/// Standard input, a pipe or a device, which can be read only once, from start to end.
final class StreamFile: ByteInput {
    private let descriptor: Descriptor
    private let name: String
    private let waker: Waker
    private var position = 0

    init(_ descriptor: Descriptor, name: String, waker: Waker) {
        self.descriptor = descriptor
        self.name = name
        self.waker = waker
    }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws -> Int {
        guard offset == position else {
            throw SourceError(.alreadyRead, "\(name): can be read only once")
        }
        while true {
            try Task.checkCancellation()
            // Other processes may share the descriptor, so it stays blocking and is polled before each read.
            if waker.wait(for: descriptor.number) { continue }
            let count = Glibc.read(descriptor.number, buffer.baseAddress, buffer.count)
            if count >= 0 {
                position += count
                return count
            }
            guard errno == EINTR || errno == EAGAIN else { throw SourceError.system(errno, path: name) }
        }
    }

    func isReady(at offset: Int) -> Bool { Waker.isReadable(descriptor.number) }
}

/// A stream that is copied to a temporary file while it is read, so that it can be read again.
///
/// It reads from the stream only what the caller asks for.
final class SpooledStream: ByteInput {
    private let stream: StreamFile
    private let spool: TemporaryFile
    private var hasEnded = false

    init(_ stream: StreamFile, spool: TemporaryFile) {
        self.stream = stream
        self.spool = spool
    }

    /// The number of bytes copied so far.
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
