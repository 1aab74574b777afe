import CRabbitMQ
import Glibc

/// System calls for TCP sockets.
enum StreamSocket {
    // The kernel doubles it, and a third of that is more than our largest write.
    private static let sendBufferRequest: Int32 = 212_992

    /// Connects before a deadline; unlike the library's connect, its errors contain the cause.
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

    /// Configures a connected socket so that it meets the assumptions of `WriteBudget`.
    static func prepare(_ descriptor: Int32) throws(AMQPError) {
        guard descriptor >= 0 else {
            throw AMQPError(.connectionFailed, "the broker closed the connection immediately")
        }
        Self.set(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1)
        var size: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        let status = getsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &size, &length)
        if status == 0, size < Self.sendBufferRequest * 2 {
            Self.set(descriptor, SOL_SOCKET, SO_SNDBUF, Self.sendBufferRequest)
        }
    }

    /// Limits how long written data may remain unacknowledged by the peer; zero means no limit.
    static func boundWrites(_ descriptor: Int32, by limit: Duration) {
        let milliseconds = Int32(clamping: limit.components.seconds * 1000)
        Self.set(descriptor, Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, milliseconds)
    }

    /// Makes the kernel hold written data until a packet is full, or releases it.
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

/// Returns the message of an `errno`.
func describe(_ code: Int32) -> String { String(cString: strerror(code)) }

extension Duration {
    /// The milliseconds for `poll(2)`, rounded up.
    var pollMilliseconds: Int32 {
        let (seconds, attoseconds) = components
        return Int32(clamping: seconds * 1000 + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000)
    }

    /// The value for C calls that take seconds and microseconds.
    var timeValue: timeval {
        let (seconds, attoseconds) = components
        return timeval(tv_sec: Int(seconds), tv_usec: Int(attoseconds / 1_000_000_000_000))
    }
}
