import CRabbitMQ
import Glibc

/// System calls for TCP sockets.
enum StreamSocket {
    // The kernel doubles it, and a third of that is more than one of our writes.
    private static let sendBufferRequest: Int32 = 212_992

    /// Connects without blocking for longer than until the deadline; unlike the library's, its errors say why.
    static func connect(
        _ address: SocketAddress,
        _ endpoint: String,
        until deadline: ContinuousClock.Instant
    ) throws(AMQPError) -> Int32 {
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        let descriptor = socket(address.family, kind, 0)
        guard descriptor >= 0 else { throw Self.failure(endpoint, errno) }
        var code = address.withSystemAddress { Glibc.connect(descriptor, $0, $1) == 0 ? 0 : errno }
        if code == EINPROGRESS { code = Self.awaitConnection(descriptor, until: deadline) }
        guard code == 0 else {
            Glibc.close(descriptor)
            throw Self.failure(endpoint, code)
        }
        Self.set(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
        return descriptor
    }

    /// Makes a connected socket fit for our writes, see `WriteBudget`.
    static func prepare(_ descriptor: Int32) throws(AMQPError) {
        guard descriptor >= 0 else { throw AMQPError(.connectionFailed, "the connection was closed at once") }
        Self.set(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1)
        var size: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        let status = getsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &size, &length)
        if status == 0, size < Self.sendBufferRequest * 2 {
            Self.set(descriptor, SOL_SOCKET, SO_SNDBUF, Self.sendBufferRequest)
        }
    }

    /// Bounds how long written data may wait for the peer; zero for no bound.
    static func boundWrites(_ descriptor: Int32, by limit: Duration) {
        let milliseconds = Int32(clamping: limit.components.seconds * 1000)
        Self.set(descriptor, Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, milliseconds)
    }

    /// Keeps what is written in the kernel until a packet is full, or lets it all go.
    static func setCorked(_ descriptor: Int32, _ isCorked: Bool) {
        Self.set(descriptor, Int32(IPPROTO_TCP), TCP_CORK, isCorked ? 1 : 0)
    }

    private static func set(_ descriptor: Int32, _ level: Int32, _ option: Int32, _ value: Int32) {
        var value = value
        setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
    }

    private static func awaitConnection(_ descriptor: Int32, until deadline: ContinuousClock.Instant) -> Int32 {
        var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        while true {
            let rest = deadline - .now
            guard rest > .zero else { return ETIMEDOUT }
            let ready = poll(&entry, 1, rest.pollMilliseconds)
            if ready > 0 { break }
            if ready < 0, errno != EINTR { return errno }
        }
        var code: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &length) == 0 ? code : errno
    }

    private static func failure(_ endpoint: String, _ code: Int32) -> AMQPError {
        AMQPError(.connectionFailed, "cannot connect to \(endpoint): \(describe(code))", systemError: code)
    }
}
