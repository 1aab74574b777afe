import Glibc

/// Resolves the addresses of a host within a time limit, which `getaddrinfo` itself does not have.
enum AddressLookup {
    private enum Outcome: Sendable {
        case pending
        case found([SocketAddress])
        case failed(String)
    }

    /// Resolves on a separate thread, and abandons that thread if it does not finish in time.
    static func resolve(
        _ configuration: AMQPConfiguration,
        until deadline: ContinuousClock.Instant
    ) throws(AMQPError) -> [SocketAddress] {
        let host = configuration.host
        let port = configuration.port
        let outcome = Locked(Outcome.pending)
        let answered = try WakeDescriptor()
        let code = SystemThread.start {
            nameThisThread("amqp-lookup")
            let result = Self.lookUp(host, port)
            outcome.withLock { $0 = result }
            answered.signal()
        }
        guard code == 0 else {
            throw AMQPError(
                .connectionFailed,
                "cannot start a thread to look up \(host): \(describe(code))",
                systemError: code
            )
        }
        while true {
            switch outcome.withLock({ $0 }) {
            case .found(let addresses): return addresses
            case .failed(let reason): throw AMQPError(.connectionFailed, "cannot resolve \(host): \(reason)")
            case .pending: break
            }
            let rest = deadline - .now
            guard rest > .zero else {
                throw AMQPError(
                    .connectionFailed,
                    "cannot resolve \(host) within \(configuration.connectTimeout)"
                )
            }
            answered.wait(TurnPlan(wait: rest))
        }
    }

    private static func lookUp(_ host: String, _ port: Int) -> Outcome {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_ADDRCONFIG
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, String(port), &hints, &list)
        guard code == 0 else { return .failed(String(cString: gai_strerror(code))) }
        defer { freeaddrinfo(list) }
        var addresses: [SocketAddress] = []
        var entry = list
        while let current = entry?.pointee {
            if let address = current.ai_addr {
                let bytes = UnsafeRawBufferPointer(start: address, count: Int(current.ai_addrlen))
                addresses.append(SocketAddress(family: current.ai_family, bytes: Array(bytes)))
            }
            entry = current.ai_next
        }
        return .found(addresses)
    }
}

/// The address of a peer.
struct SocketAddress: Sendable {
    var family: Int32
    var bytes: [UInt8]

    /// Calls a closure with the address in the system's form.
    func withSystemAddress<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        var storage = sockaddr_storage()
        return withUnsafeMutableBytes(of: &storage) { target in
            target.copyBytes(from: bytes.prefix(target.count))
            return target.withMemoryRebound(to: sockaddr.self) { addresses in
                guard let address = addresses.baseAddress else {
                    preconditionFailure("sockaddr_storage is never empty")
                }
                return body(address, socklen_t(bytes.count))
            }
        }
    }
}
