import Glibc
import SheafBroker
import SystemPackage

/// The folder of a broker and the files in it.
struct BrokerDirectory: Sendable {
    /// The folder.
    let path: String
    /// The name of the database's file.
    static let databaseName = "sheaf.sqlite"

    /// Creates the folder, accessible only to this user, if it does not exist.
    init(_ path: FilePath) throws {
        self.path = path.string
        var reached = FilePath(root: path.root, [])
        for component in path.components {
            reached.append(component)
            try Self.makeFolder(reached.string)
        }
        for folder in [sessions, locks] { try Self.makeFolder(folder) }
    }

    /// The database's file.
    var database: String { "\(path)/\(Self.databaseName)" }
    /// The file that a process locks while it opens the database, so that only one process creates the tables.
    var opening: String { "\(path)/opening" }
    /// The file of ``TurnLock``.
    var turn: String { "\(path)/turn" }
    /// The folder with a locked file for each live session.
    var sessions: String { "\(path)/sessions" }
    /// The folder with a file for each lock.
    var locks: String { "\(path)/locks" }

    /// Returns the path of a session's file.
    func session(_ name: String) -> String { "\(sessions)/\(name)" }

    /// Returns the path of a lock's file.
    ///
    /// Letters, digits, `-` and `_` are kept; other characters are written as `%` and hexadecimal digits.
    func lock(_ name: String) throws -> String {
        var file = ""
        for byte in name.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
                file.unicodeScalars.append(Unicode.Scalar(byte))
            case UInt8(ascii: ".") where !file.isEmpty: file.append(".")
            default: file += "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
            }
        }
        guard file.utf8.count <= 255 else {
            throw BrokerError(.invalidArgument, "the lock name \(name) is too long for a file name")
        }
        return "\(locks)/\(file)"
    }

    /// Creates the database's file, accessible only to this user; SQLite gives its other files the same mode.
    ///
    /// It never opens an existing file: closing it would release all locks that SQLite holds on it in this process.
    func makeDatabaseFile() throws {
        let descriptor = open(database, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        if descriptor >= 0 {
            close(descriptor)
        } else if errno != EEXIST {
            throw StorageFailure.system("cannot write", database, errno)
        }
    }

    /// Returns the names of all session files, including those of dead sessions.
    func sessionFiles() -> [String] {
        guard let folder = opendir(sessions) else { return [] }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    private static func makeFolder(_ path: String) throws {
        guard mkdir(path, 0o700) != 0, errno != EEXIST else { return }
        let number = errno
        var found = stat()
        // On a read-only file system, mkdir fails with EROFS even if the folder exists.
        if stat(path, &found) == 0, found.st_mode & S_IFMT == S_IFDIR { return }
        throw StorageFailure.system("cannot create the folder", path, number)
    }
}
