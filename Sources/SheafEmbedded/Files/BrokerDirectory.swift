import Glibc
import SheafBroker
import SystemPackage

/// The folder of a broker and the files in it.
struct BrokerDirectory: Sendable {
    /// The folder.
    let path: String
    /// The name of the database's file.
    static let databaseName = "sheaf.sqlite"

    /// Makes the folder, for this user only, where there is none.
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
    /// Held while a process opens the database, so that one makes the tables and the others find them.
    var opening: String { "\(path)/opening" }
    /// The file of ``TurnLock``.
    var turn: String { "\(path)/turn" }
    /// The folder with a locked file for every living session.
    var sessions: String { "\(path)/sessions" }
    /// The folder with a file for every lock.
    var locks: String { "\(path)/locks" }

    /// The file of a session.
    func session(_ name: String) -> String { "\(sessions)/\(name)" }

    /// The file of a lock; letters, digits, `-` and `_` stay, and anything else is written as `%` and hexadecimal
    /// digits.
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
            throw BrokerError(.invalidArgument, "the lock name \(name) is too long for a file's name")
        }
        return "\(locks)/\(file)"
    }

    /// Makes the database's file readable for this user only; SQLite gives its other files the same mode.
    ///
    /// Never opens a file that exists: closing it again would end all locks that SQLite has on it in this process.
    func makeDatabaseFile() throws {
        let descriptor = open(database, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        if descriptor >= 0 {
            close(descriptor)
        } else if errno != EEXIST {
            throw StorageFailure.system("can not write", database, errno)
        }
    }

    /// The files of sessions, including those of dead ones.
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
        // A read-only file system above says so even for a folder that exists.
        if stat(path, &found) == 0, found.st_mode & S_IFMT == S_IFDIR { return }
        throw StorageFailure.system("can not make the folder", path, number)
    }
}
