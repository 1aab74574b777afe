import Glibc

/// Lets any thread shut down a socket on which its own thread may be stuck.
///
/// It keeps a duplicate of the descriptor, so that it never affects a number that the library has closed and the
/// system has reused.
final class SocketGuard: Sendable {
    private let descriptor = Locked<Int32>(-1)
    private let isCut = Locked(false)

    deinit { release() }

    /// Duplicates a socket; shuts it down at once if `cut` was called before.
    func adopt(_ socket: Int32) {
        let copy = fcntl(socket, F_DUPFD_CLOEXEC, 0)
        descriptor.withLock { $0 = copy }
        if isCut.withLock({ $0 }) { cut() }
    }

    /// Shuts down both directions, so that blocked reads and writes return at once.
    func cut() {
        isCut.withLock { $0 = true }
        descriptor.withLock { if $0 >= 0 { _ = shutdown($0, Int32(SHUT_RDWR)) } }
    }

    /// Limits how long written data may remain unacknowledged by the peer; zero means no limit.
    func boundWrites(by limit: Duration) {
        descriptor.withLock { if $0 >= 0 { StreamSocket.boundWrites($0, by: limit) } }
    }

    /// Shuts the socket down and closes the duplicate descriptor.
    func release() {
        cut()
        self.descriptor.withLock { descriptor in
            if descriptor >= 0 { Glibc.close(descriptor) }
            descriptor = -1
        }
    }
}
