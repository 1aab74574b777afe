import Glibc
import SystemPackage

/// Writes bytes to a descriptor, all of them, whatever it is: a file, a pipe or a terminal that does not block.
struct DescriptorWriter: ByteSink {
    let descriptor: Int32
    /// What it is, for error messages.
    let name: String

    /// Writes everything; throws ``WriteError``.
    func write(_ bytes: [UInt8]) throws(WriteError) {
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
