import Glibc

/// Owns an open file descriptor and closes it at the end.
final class Descriptor: Sendable {
    let number: Int32
    private let isBorrowed: Bool

    /// Takes a descriptor over; a borrowed one, such as standard input, is left open.
    init(_ number: Int32, isBorrowed: Bool = false) {
        self.number = number
        self.isBorrowed = isBorrowed
    }

    deinit {
        if !isBorrowed { close(number) }
    }

    /// Opens a path for reading.
    static func open(_ path: SystemPath, flags: Int32 = 0) throws(SourceError) -> Descriptor {
        let number = path.withCString { Glibc.open($0, O_RDONLY | O_CLOEXEC | flags) }
        guard number >= 0 else { throw SourceError.system(errno, path: path.display) }
        return Descriptor(number)
    }

    /// The size, time and kind of the open file.
    func status(path: SystemPath) throws(SourceError) -> stat {
        var status = stat()
        guard fstat(number, &status) == 0 else { throw SourceError.system(errno, path: path.display) }
        return status
    }

    /// Reads at an offset until the buffer is full or the file ends; returns nil with `errno` set where that fails.
    func readAll(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) -> Int? {
        var done = 0
        while done < buffer.count {
            let count = pread(number, buffer.baseAddress.map { $0 + done }, buffer.count - done, offset + done)
            if count == 0 { break }
            if count > 0 { done += count } else if errno != EINTR { return nil }
        }
        return done
    }
}
