import GRDB
import Glibc
import SheafBroker

/// Turns what SQLite and the system say into the broker's errors.
enum StorageFailure {
    /// The broker's error for an error of the database, where `system` has what may be the numbers of the system's
    /// error behind it; other errors stay what they are.
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
            return storage(isClosed ? "it can not be opened for writing" : error.message ?? "I/O error", path, error)
        case .SQLITE_NOTADB: return storage("it is not a broker's file", path, error)
        case .SQLITE_CORRUPT: return storage("it is damaged", path, error)
        case .SQLITE_READONLY, .SQLITE_PERM: return storage("it can not be written", path, error)
        case .SQLITE_TOOBIG: return BrokerError(.tooLarge, "a message is too large for \(path)", underlying: error)
        default: return storage(error.message ?? error.resultCode.description, path, error)
        }
    }

    /// The broker's error for a failed call of the system.
    static func system(_ what: String, _ path: String, _ number: Int32) -> BrokerError {
        guard meansNoRoom(number) else { return BrokerError(.storage, "\(what) \(path): \(text(number))") }
        return noRoom("for \(path)", text(number), nil)
    }

    /// Nothing is broken: the same call succeeds when there is room.
    private static func noRoom(_ what: String, _ why: String, _ error: DatabaseError?) -> BrokerError {
        BrokerError(
            .blocked,
            "there is no room \(what): \(why); make room, what is confirmed is kept and the rest can be tried again",
            underlying: error
        )
    }

    private static func occupied(_ path: String) -> String {
        guard let holder = WriteLockHolder(ofDatabase: path) else {
            return "another process keeps the broker's file \(path) for itself (is one suspended?)"
        }
        let number = holder.process
        return holder.isSuspended
            ? "process \(number) was suspended while it wrote to the broker's file \(path): "
                + "let it go on ('kill -CONT \(number)') or end it"
            : "process \(number) keeps the broker's file \(path) for itself"
    }

    private static func storage(_ what: String, _ path: String, _ error: DatabaseError) -> BrokerError {
        BrokerError(.storage, "the broker's file \(path) can not be used: \(what)", underlying: error)
    }

    /// Whether the system has no room left: on the disk, within the user's quota or the limit on the size of files.
    private static func meansNoRoom(_ number: Int32) -> Bool { [ENOSPC, EDQUOT, EFBIG].contains(number) }

    /// Whether the disk of a file is full; SQLite does not always keep the number of the system's error.
    private static func isFull(_ path: String) -> Bool {
        var status = statvfs()
        guard statvfs(path, &status) == 0 else { return false }
        return status.f_bavail == 0 || status.f_files > 0 && status.f_favail == 0
    }

    private static func text(_ number: Int32) -> String { String(cString: strerror(number)) }
}
