import GRDB
import Glibc
import SheafBroker

/// Turns what SQLite and the system say into the broker's errors.
enum StorageFailure {
    /// The broker's error for an error of the database; other errors stay what they are.
    static func error(for error: any Error, at path: String) -> any Error {
        guard let error = error as? DatabaseError else { return error }
        switch error.resultCode {
        case .SQLITE_BUSY, .SQLITE_LOCKED:
            return BrokerError(
                .timedOut,
                "another process keeps the broker's file \(path) for itself (is one suspended?)",
                underlying: error
            )
        case .SQLITE_FULL: return storage("the disk is full", path, error)
        case .SQLITE_NOTADB: return storage("it is not a broker's file", path, error)
        case .SQLITE_CORRUPT: return storage("it is damaged", path, error)
        case .SQLITE_READONLY, .SQLITE_PERM, .SQLITE_CANTOPEN: return storage("it can not be written", path, error)
        case .SQLITE_TOOBIG: return BrokerError(.tooLarge, "a message is too large for \(path)", underlying: error)
        default: return storage(error.message ?? error.resultCode.description, path, error)
        }
    }

    /// The broker's error for a failed call of the system.
    static func system(_ what: String, _ path: String, _ number: Int32) -> BrokerError {
        BrokerError(.storage, "\(what) \(path): \(String(cString: strerror(number)))")
    }

    private static func storage(_ what: String, _ path: String, _ error: DatabaseError) -> BrokerError {
        BrokerError(.storage, "the broker's file \(path) can not be used: \(what)", underlying: error)
    }
}
