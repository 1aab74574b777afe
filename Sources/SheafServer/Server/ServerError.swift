import Glibc
import NIOCore
import SystemPackage

/// An error that keeps the server from serving, or that ended it.
package struct ServerError: Error, Sendable, Equatable {
    /// The kind of the error.
    package enum Code: Sendable {
        /// The address is no loopback address, and there are no tokens.
        case needsTokens
        /// The port is used by another program.
        case portInUse
        /// The address cannot be bound.
        case cannotListen
        /// The certificate or its key cannot be used.
        case badCertificate
        /// Requests were still running at the end of the time for them.
        case drainTimedOut
    }

    /// The kind.
    package let code: Code
    /// What failed, on what, and why.
    package let message: String
}

extension ServerError {
    /// Describes why an address cannot be bound.
    init(_ error: IOError, host: String, port: Int) {
        let place = "\(host):\(port)"
        if error.errnoCode == EADDRINUSE {
            self.init(code: .portInUse, message: "cannot listen on \(place): another program uses the port")
        } else {
            self.init(code: .cannotListen, message: "cannot listen on \(place): \(Errno(rawValue: error.errnoCode))")
        }
    }
}
