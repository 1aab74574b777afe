import Foundation
import Glibc

/// Accepts a connection and sends nothing.
final class SilentServer: @unchecked Sendable {
    /// The port on 127.0.0.1.
    let port: Int
    private let listener: Int32
    private var connection: Int32 = -1

    init() throws {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | O_NONBLOCK, 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(listener, address, size) | listen(listener, 1) | getsockname(listener, address, &size)
            }
        }
        self.listener = listener
        port = Int(UInt16(bigEndian: address.sin_port))
        guard status == 0 else { throw POSIXError(.EADDRNOTAVAIL) }
    }

    deinit { close() }

    /// Accepts a connection; returns false if there is none.
    func accept() -> Bool {
        connection = Glibc.accept(listener, nil, nil)
        return connection >= 0
    }

    /// Closes the connection and refuses others.
    func close() {
        for descriptor in [connection, listener] where descriptor >= 0 { shutdown(descriptor, Int32(SHUT_RDWR)) }
    }
}
