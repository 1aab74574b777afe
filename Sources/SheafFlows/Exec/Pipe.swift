import Glibc
import SystemPackage

/// A pipe that no other program inherits by itself.
struct Pipe: Sendable {
    /// Our end of a pipe for output, which never blocks.
    let readEnd: FileDescriptor
    /// The other end.
    let writeEnd: FileDescriptor

    init() throws(Errno) {
        (readEnd, writeEnd) = try FileDescriptor.pipe(options: .closeOnExec)
        readEnd.setNonBlocking()
    }
}

extension FileDescriptor {
    /// Makes reading and writing return at once; a pipe that was just made cannot refuse.
    func setNonBlocking() {
        _ = fcntl(rawValue, F_SETFL, fcntl(rawValue, F_GETFL) | O_NONBLOCK)
    }
}
