import Glibc

/// System calls for the non-blocking loopback sockets of a ``FaultProxy``.
enum FaultSocket {
    /// The system call that failed and its cause.
    struct Failure: Error, CustomStringConvertible {
        let description: String

        init(_ what: String) { self.description = "\(what): \(String(cString: strerror(errno)))" }
    }

    /// Listens on a port.
    static func listen(on port: Int) throws -> Int32 {
        let descriptor = try make()
        set(descriptor, SOL_SOCKET, SO_REUSEADDR, Int32(1))
        let status = withAddress(port) { Glibc.bind(descriptor, $0, $1) }
        guard status == 0, Glibc.listen(descriptor, 128) == 0 else {
            let failure = Failure("cannot listen on port \(port)")
            close(descriptor)
            throw failure
        }
        makeNonBlocking(descriptor)
        return descriptor
    }

    /// Listens on a free port below the range that the kernel uses for outgoing connections.
    static func listenAnywhere() throws -> (descriptor: Int32, port: Int) {
        var last: (any Error)?
        for _ in 0..<100 {
            let port = Int.random(in: 20_000..<32_000)
            do { return (try listen(on: port), port) } catch { last = error }
        }
        throw last ?? Failure("no free port")
    }

    /// Connects to a loopback port, which accepts or refuses immediately.
    static func connect(to port: Int) throws -> Int32 {
        let descriptor = try make()
        guard withAddress(port, { Glibc.connect(descriptor, $0, $1) }) == 0 else {
            let failure = Failure("cannot connect to port \(port)")
            close(descriptor)
            throw failure
        }
        adopt(descriptor)
        return descriptor
    }

    /// Configures an accepted or connected socket for the proxy.
    static func adopt(_ descriptor: Int32) {
        makeNonBlocking(descriptor)
        set(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, Int32(1))
    }

    /// Closes a socket so that its peer sees a reset.
    static func reset(_ descriptor: Int32) {
        set(descriptor, SOL_SOCKET, SO_LINGER, linger(l_onoff: 1, l_linger: 0))
        close(descriptor)
    }

    private static func make() throws -> Int32 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw Failure("no socket") }
        return descriptor
    }

    private static func makeNonBlocking(_ descriptor: Int32) {
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
    }

    private static func set<Value: BitwiseCopyable>(
        _ descriptor: Int32,
        _ level: Int32,
        _ option: Int32,
        _ value: Value
    ) {
        var value = value
        setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<Value>.size))
    }

    private static func withAddress<Result>(
        _ port: Int,
        _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
    ) -> Result {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }
}
