import Glibc
import SystemPackage

/// A pipe that no other program inherits by accident.
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
    /// Makes reads and writes return at once; this cannot fail for a pipe that was just made.
    func setNonBlocking() {
        _ = fcntl(rawValue, F_SETFL, fcntl(rawValue, F_GETFL) | O_NONBLOCK)
    }
}

/// The pipes of one process, from before its start until after its end.
struct ProcessPipes: Sendable {
    /// Its standard input; closed by the code that starts the process.
    let input: FileDescriptor
    /// Its standard output; the writing end is closed by the code that starts the process.
    let output: Pipe
    /// Its standard error; the writing end is closed by the code that starts the process.
    let errors: Pipe
    /// Becomes readable when the task is cancelled.
    let cancellation: Pipe

    /// Opens all of them, or none.
    init(input bytes: [UInt8]) throws {
        var made: [FileDescriptor] = []
        func pipe() throws -> Pipe {
            let pipe = try Pipe()
            made += [pipe.readEnd, pipe.writeEnd]
            return pipe
        }
        do {
            self.output = try pipe()
            self.errors = try pipe()
            self.cancellation = try pipe()
            self.input = try InputPipe.filled(with: bytes)
        } catch {
            for descriptor in made { try? descriptor.close() }
            throw error
        }
    }

    /// Tells the supervisor that the task was cancelled.
    func cancel() {
        _ = try? cancellation.writeEnd.writeAll(CollectionOfOne(1))
    }

    /// Closes the descriptors that the code starting the process does not close.
    func close() {
        try? output.readEnd.close()
        try? errors.readEnd.close()
        try? cancellation.readEnd.close()
        try? cancellation.writeEnd.close()
    }
}

/// Standard input that is filled before the process starts.
///
/// Nothing is written while the process runs, so a process that does not read its input can neither block us nor cause
/// SIGPIPE.
private enum InputPipe {
    /// The default capacity of a pipe on Linux.
    private static let capacity = 64 << 10

    /// Makes a descriptor from which the bytes can be read: a pipe if they fit into one, otherwise an unlinked file.
    static func filled(with bytes: [UInt8]) throws -> FileDescriptor {
        if bytes.count <= capacity, let pipe = try pipe(bytes) { return pipe }
        return try file(bytes)
    }

    private static func pipe(_ bytes: [UInt8]) throws -> FileDescriptor? {
        let (readEnd, writeEnd) = try FileDescriptor.pipe(options: .closeOnExec)
        defer { try? writeEnd.close() }
        if bytes.isEmpty { return readEnd }
        writeEnd.setNonBlocking()
        // A user with very many pipes gets smaller ones; the write is then short, or fails.
        let written = try? bytes.withUnsafeBytes { try writeEnd.write($0) }
        if written == bytes.count { return readEnd }
        try readEnd.close()
        return nil
    }

    private static func file(_ bytes: [UInt8]) throws -> FileDescriptor {
        let folder = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        let path = FilePath(folder).appending("sheaf-\(getpid())-\(UInt64.random(in: .min ... .max))")
        let file = try FileDescriptor.open(
            path,
            .readWrite,
            options: [.create, .exclusiveCreate, .closeOnExec],
            permissions: .ownerReadWrite
        )
        do {
            _ = path.withPlatformString { unlink($0) }
            try file.writeAll(bytes)
            try file.seek(offset: 0, from: .start)
            return file
        } catch {
            try? file.close()
            throw error
        }
    }
}
