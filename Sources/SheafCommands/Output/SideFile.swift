import Glibc
import SystemPackage

/// A file that appears under its name only once it is complete and on the disk; until then an existing file stays.
///
/// It is written beside its place, synchronised and renamed. Anything but a regular file, such as a device or a pipe,
/// is written directly.
final class SideFile: ByteSink {
    private let path: String
    private let temporary: String?
    private let descriptor: Int32
    private var isFinished = false

    init(path: String) throws {
        var status = stat()
        let exists = stat(path, &status) == 0
        if exists, status.st_mode & S_IFMT == S_IFDIR { throw WriteError(.isDirectory, name: path) }
        if exists, status.st_mode & S_IFMT != S_IFREG {
            self.path = path
            temporary = nil
            descriptor = open(path, O_WRONLY | O_CLOEXEC)
        } else {
            let target = exists ? Self.resolved(path) : path
            let (folder, name) = Self.split(target)
            let side = "\(folder)/.\(name).\(getpid()).part"
            self.path = target
            temporary = side
            descriptor = open(side, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, exists ? 0o600 : 0o666)
            if descriptor >= 0, exists { _ = fchmod(descriptor, status.st_mode & 0o7777) }
        }
        if descriptor < 0 { throw WriteError(Errno(rawValue: errno), name: path) }
    }

    deinit {
        if isFinished { return }
        close(descriptor)
        if let temporary { unlink(temporary) }
    }

    /// Appends bytes.
    func write(_ bytes: [UInt8]) throws {
        try DescriptorWriter(descriptor: descriptor, name: path).write(bytes)
    }

    /// Moves the file to its place.
    func finish() throws {
        guard let temporary else { return }
        guard fsync(descriptor) == 0, rename(temporary, path) == 0 else {
            throw WriteError(Errno(rawValue: errno), name: path)
        }
        isFinished = true
        close(descriptor)
        // The folder's entry is on the disk only once the folder is synchronised. If that fails, the file is still
        // complete.
        let folder = open(Self.split(path).folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        if folder >= 0 {
            fsync(folder)
            close(folder)
        }
    }

    /// Returns the path without symbolic links, so that a link is kept.
    private static func resolved(_ path: String) -> String {
        guard let real = realpath(path, nil) else { return path }
        defer { free(real) }
        return String(cString: real)
    }

    private static func split(_ path: String) -> (folder: String, name: Substring) {
        guard let slash = path.lastIndex(of: "/") else { return (".", path[...]) }
        let folder = path[..<slash]
        return (folder.isEmpty ? "/" : String(folder), path[path.index(after: slash)...])
    }
}
