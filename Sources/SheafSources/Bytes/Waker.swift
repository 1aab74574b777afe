import Glibc

/// Ends a wait for standard input from another thread.
final class Waker: Sendable {
    private let reading: Descriptor
    private let writing: Descriptor

    init() throws(SourceError) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else {
            throw SourceError(.unreadable, "can not make a pipe (\(String(cString: strerror(errno))))")
        }
        for end in ends {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
        }
        self.reading = Descriptor(ends[0])
        self.writing = Descriptor(ends[1])
    }

    /// Lets the wait that is going on, or else the next one, return early.
    func signal() {
        var byte: UInt8 = 1
        // A full pipe is a signal already.
        _ = write(writing.number, &byte, 1)
    }

    /// Waits until the descriptor has something to read or ended, or somebody signalled; returns whether it was woken
    /// by a signal.
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

    /// Whether reading the descriptor would return at once.
    static func isReadable(_ descriptor: Int32) -> Bool {
        var wait = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&wait, 1, 0) > 0
    }
}
