import Glibc

/// An address to connect to.
struct SocketAddress: Sendable {
    var family: Int32
    var bytes: [UInt8]

    /// Calls a closure with the address in the system's form.
    func withSystemAddress<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        var storage = sockaddr_storage()
        return withUnsafeMutableBytes(of: &storage) { target in
            target.copyBytes(from: self.bytes.prefix(target.count))
            return target.withMemoryRebound(to: sockaddr.self) { addresses in
                guard let address = addresses.baseAddress else { preconditionFailure("an address has a size") }
                return body(address, socklen_t(self.bytes.count))
            }
        }
    }
}
