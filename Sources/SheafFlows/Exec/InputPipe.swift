import Glibc
import SystemPackage

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
