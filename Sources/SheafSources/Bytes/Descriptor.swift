import Glibc

/// An owned file descriptor, closed on deinitialization.
final class Descriptor: Sendable {
    let number: Int32
    private let isBorrowed: Bool

    /// Takes ownership of a descriptor; a borrowed one, such as standard input, stays open.
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

    /// Returns the size, time and kind of the open file.
    func status(path: SystemPath) throws(SourceError) -> stat {
        var status = stat()
        guard fstat(number, &status) == 0 else { throw SourceError.system(errno, path: path.display) }
        return status
    }

    /// Reads at an offset until the buffer is full or the file ends; returns nil with `errno` set on failure.
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

/// A pipe that ends a wait for standard input from another thread.
final class Waker: Sendable {
    private let reading: Descriptor
    private let writing: Descriptor

    init() throws(SourceError) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else {
            throw SourceError(.unreadable, "cannot create a pipe (\(String(cString: strerror(errno))))")
        }
        for end in ends {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
        }
        self.reading = Descriptor(ends[0])
        self.writing = Descriptor(ends[1])
    }

    /// Ends the current wait, or the next one, early.
    func signal() {
        var byte: UInt8 = 1
        // A full pipe already contains a signal.
        _ = write(writing.number, &byte, 1)
    }

    /// Waits until the descriptor has data or ends, or ``signal()`` is called; returns whether a signal ended the wait.
    func wait(for descriptor: Int32) -> Bool {
        var waits = [
            pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
            pollfd(fd: reading.number, events: Int16(POLLIN), revents: 0),
        ]
        while poll(&waits, 2, -1) < 0, errno == EINTR {}
        guard waits[1].revents != 0 else { return false }
        var drain: (UInt64, UInt64) = (0, 0)
        while read(reading.number, &drain, MemoryLayout.size(ofValue: drain)) > 0 {}
        return true
    }

    /// Returns whether reading the descriptor would return immediately.
    static func isReadable(_ descriptor: Int32) -> Bool {
        var wait = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&wait, 1, 0) > 0
    }
}
