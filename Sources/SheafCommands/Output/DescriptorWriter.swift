import Glibc
import SystemPackage

/// Writes all bytes to a descriptor: a file, a pipe or a terminal, also a non-blocking one.
struct DescriptorWriter: ByteSink {
    let descriptor: Int32
    /// The name for error messages.
    let name: String

    func write(_ bytes: [UInt8]) throws {
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                Glibc.write(descriptor, buffer.baseAddress.map { $0 + written }, buffer.count - written)
            }
            if count >= 0 {
                written += count
            } else if errno == EAGAIN {
                var wait = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                poll(&wait, 1, -1)
            } else if errno != EINTR {
                throw WriteError(Errno(rawValue: errno), name: name)
            }
        }
    }
}

/// A destination of bytes.
protocol ByteSink {
    /// Writes all of the bytes.
    ///
    /// - Throws: ``WriteError``. It is not in the type, because the optimizer of Swift 6.3.1 crashes on an asynchronous
    ///   loop with such a call.
    func write(_ bytes: [UInt8]) throws
}

/// A failed write.
struct WriteError: Error, Equatable, CustomStringConvertible {
    /// The error of the system.
    let cause: Errno
    /// The name of the destination.
    let name: String

    init(_ cause: Errno, name: String) {
        self.cause = cause
        self.name = name
    }

    /// Whether the reader has gone, as with `| head`.
    var isBrokenPipe: Bool { cause == .brokenPipe }

    var description: String { "cannot write \(name): \(cause.description)" }
}
