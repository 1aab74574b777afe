import Glibc
import SystemPackage

/// What connects us with a process that lives for many tasks.
struct ChildPipes {
    /// Our end of its standard input, which never blocks.
    let input: FileDescriptor
    /// Its end of it; closed by who starts it.
    let inputEnd: FileDescriptor
    /// Its standard output; the writing end is closed by who starts it.
    let output: Pipe
    /// Its standard error; the writing end is closed by who starts it.
    let errors: Pipe

    /// Makes them all, or none.
    ///
    /// Standard input is a socket, because writing to one whose reader is gone need not raise SIGPIPE.
    init() throws(Errno) {
        var ends: [Int32] = [-1, -1]
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, kind, 0, &ends) == 0 else { throw Errno(rawValue: errno) }
        input = FileDescriptor(rawValue: ends[0])
        inputEnd = FileDescriptor(rawValue: ends[1])
        input.setNonBlocking()
        var made = [input, inputEnd]
        do {
            output = try Pipe()
            made += [output.readEnd, output.writeEnd]
            errors = try Pipe()
        } catch {
            for descriptor in made { try? descriptor.close() }
            throw error
        }
    }
}
