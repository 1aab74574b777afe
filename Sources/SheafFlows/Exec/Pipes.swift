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

/// The pipes of one process, from before its start until after its end.
struct ProcessPipes: Sendable {
    /// Where it reads; closed by who starts it.
    let input: FileDescriptor
    /// Where it writes its output; the writing end is closed by who starts it.
    let output: Pipe
    /// Where it writes its errors; the writing end is closed by who starts it.
    let errors: Pipe
    /// Becomes readable when the task is cancelled.
    let cancellation: Pipe

    /// Makes them all, or none.
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

    /// Closes what nobody else closes.
    func close() {
        try? output.readEnd.close()
        try? errors.readEnd.close()
        try? cancellation.readEnd.close()
        try? cancellation.writeEnd.close()
    }
}

/// Standard input with everything in it before the process starts.
///
/// Nobody has to write while the process runs, so a process that does not read its input can neither block us nor send
/// us SIGPIPE.
enum InputPipe {
    /// What a pipe holds on Linux unless it was told otherwise.
    private static let capacity = 64 << 10

    /// Makes a descriptor from which the bytes can be read: a pipe where they fit, else a file without a name.
    static func filled(with bytes: [UInt8]) throws -> FileDescriptor {
        if bytes.count <= capacity, let pipe = try pipe(bytes) { return pipe }
        return try file(bytes)
    }

    private static func pipe(_ bytes: [UInt8]) throws -> FileDescriptor? {
        let (readEnd, writeEnd) = try FileDescriptor.pipe(options: .closeOnExec)
        defer { try? writeEnd.close() }
        if bytes.isEmpty { return readEnd }
        writeEnd.setNonBlocking()
        // A user with very many pipes gets smaller ones; then the write is short, or refused.
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
