import Glibc

/// Standard input, a pipe or a device: read once, from front to back.
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
            // The descriptor may be shared with other processes, so it is not made non-blocking: it is asked first.
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
