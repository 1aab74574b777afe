import GRDB
import Glibc
import SheafBroker

/// Maps errors of SQLite and of the system to the broker's errors.
enum StorageFailure {
    /// Returns the broker's error for an error of the database; other errors are returned unchanged.
    ///
    /// `system` has values of `errno` that may have caused it.
    static func error(for error: any Error, at path: String, system numbers: [Int32] = []) -> any Error {
        guard let error = error as? DatabaseError else { return error }
        switch error.resultCode {
        case .SQLITE_BUSY, .SQLITE_LOCKED:
            return BrokerError(.timedOut, occupied(path), underlying: error)
        case .SQLITE_FULL: return noRoom("for the broker's file \(path)", "the disk is full", error)
        case .SQLITE_IOERR, .SQLITE_CANTOPEN:
            if let number = numbers.first(where: meansNoRoom) {
                return noRoom("for the broker's file \(path)", text(number), error)
            }
            if isFull(path) { return noRoom("for the broker's file \(path)", "the disk is full", error) }
            let isClosed = error.resultCode == .SQLITE_CANTOPEN
            return storage(isClosed ? "it cannot be opened for writing" : error.message ?? "I/O error", path, error)
        case .SQLITE_NOTADB: return storage("it is not a broker's file", path, error)
        case .SQLITE_CORRUPT: return storage("it is damaged", path, error)
        case .SQLITE_READONLY, .SQLITE_PERM: return storage("it cannot be written", path, error)
        case .SQLITE_TOOBIG: return BrokerError(.tooLarge, "a message is too large for \(path)", underlying: error)
        default: return storage(error.message ?? error.resultCode.description, path, error)
        }
    }

    /// Returns the broker's error for a failed system call.
    static func system(_ what: String, _ path: String, _ number: Int32) -> BrokerError {
        guard meansNoRoom(number) else { return BrokerError(.storage, "\(what) \(path): \(text(number))") }
        return noRoom("for \(path)", text(number), nil)
    }

    /// Returns a retryable error: the same call succeeds after disk space was freed.
    private static func noRoom(_ what: String, _ why: String, _ error: DatabaseError?) -> BrokerError {
        BrokerError(
            .blocked,
            "there is no space \(what): \(why); free some space and retry, confirmed messages are kept",
            underlying: error
        )
    }

    private static func occupied(_ path: String) -> String {
        guard let holder = WriteLockHolder(ofDatabase: path) else {
            return "another process keeps the broker's file \(path) locked; check whether a process is suspended"
        }
        let number = holder.process
        return holder.isSuspended
            ? "process \(number) was suspended while it wrote to the broker's file \(path); "
                + "continue it ('kill -CONT \(number)') or end it"
            : "process \(number) keeps the broker's file \(path) locked"
    }

    private static func storage(_ what: String, _ path: String, _ error: DatabaseError) -> BrokerError {
        BrokerError(.storage, "cannot use the broker's file \(path): \(what)", underlying: error)
    }

    /// Whether an `errno` means that the disk is full, or the user's quota or the limit on file sizes is exceeded.
    private static func meansNoRoom(_ number: Int32) -> Bool { [ENOSPC, EDQUOT, EFBIG].contains(number) }

    /// Whether the disk of a file is full; SQLite does not always keep the system's `errno`.
    private static func isFull(_ path: String) -> Bool {
        var status = statvfs()
        guard statvfs(path, &status) == 0 else { return false }
        return status.f_bavail == 0 || status.f_files > 0 && status.f_favail == 0
    }

    private static func text(_ number: Int32) -> String { String(cString: strerror(number)) }
}

/// The process that holds SQLite's write lock on a file, as reported by the system.
private struct WriteLockHolder {
    /// Its process ID.
    let process: Int32
    /// Whether it is suspended, and therefore does not release the lock.
    let isSuspended: Bool

    /// The byte of the `-shm` file that SQLite locks for writing.
    private static let place: Int64 = 120

    /// Finds the holder; returns nil if the lock is not held, or the system does not report the process.
    ///
    /// It reads `/proc/locks`, since opening and closing the locked file would release all locks of this process.
    init?(ofDatabase path: String) {
        var file = stat()
        guard stat("\(path)-shm", &file) == 0, let locks = Self.text(of: "/proc/locks") else { return nil }
        for line in locks.split(separator: "\n") {
            // "3: POSIX ADVISORY WRITE 14343 fe:00:5686751 120 120"
            let words = line.split(separator: " ")
            guard words.count == 8, words[1] == "POSIX", words[3] == "WRITE", let number = Int32(words[4]), number > 0,
                words[5].split(separator: ":").last == "\(file.st_ino)"[...],
                let first = Int64(words[6]), first <= Self.place, Int64(words[7]).map({ $0 >= Self.place }) != false
            else { continue }
            self.process = number
            // "14343 (name) T …", and the name may contain brackets.
            let state = Self.text(of: "/proc/\(number)/stat")?.split(separator: ")").last?.dropFirst().first
            self.isSuspended = state == "T"
            return
        }
        return nil
    }

    private static func text(of path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = read(descriptor, &chunk, chunk.count)
            guard count > 0 else { break }
            bytes += chunk[..<count]
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
