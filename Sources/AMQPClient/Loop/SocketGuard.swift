import Glibc

/// Lets any thread cut a socket that its own thread may be stuck on.
///
/// It keeps a duplicate of the descriptor, so that cutting can never hit a number which the library has closed and the
/// system has given to something else.
final class SocketGuard: Sendable {
    private let descriptor = Locked<Int32>(-1)
    private let isCut = Locked(false)

    deinit { self.release() }

    /// Takes charge of a socket; cuts it at once if that was asked for before.
    func adopt(_ socket: Int32) {
        let copy = fcntl(socket, F_DUPFD_CLOEXEC, 0)
        self.descriptor.withLock { $0 = copy }
        if self.isCut.withLock({ $0 }) { self.cut() }
    }

    /// Ends both directions: whoever reads or writes returns at once.
    func cut() {
        self.isCut.withLock { $0 = true }
        self.descriptor.withLock { if $0 >= 0 { _ = shutdown($0, Int32(SHUT_RDWR)) } }
    }

    /// Bounds how long written data may wait for the peer; zero for no bound.
    func boundWrites(by limit: Duration) {
        self.descriptor.withLock { if $0 >= 0 { StreamSocket.boundWrites($0, by: limit) } }
    }

    /// Cuts the socket and gives the descriptor back.
    func release() {
        self.cut()
        self.descriptor.withLock { descriptor in
            if descriptor >= 0 { Glibc.close(descriptor) }
            descriptor = -1
        }
    }
}
