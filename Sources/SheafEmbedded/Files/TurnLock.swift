import GRDB
import Glibc

/// Whose turn it is to wait for SQLite's write lock, so that a busy process does not keep it from all others.
///
/// SQLite gives its lock to whoever asks first after it is free, which is nearly always the process that just had it.
/// Here one has to hold the turn while asking; who has just written finds the turn with the next one and waits behind
/// it.
final class TurnLock: Sendable {
    private let file: FileLock
    /// How long to wait, as for SQLite's own lock.
    private static let attempts = 30_000

    /// Opens the file of the turn.
    init(_ path: String) throws {
        self.file = try FileLock.open(path)
    }

    /// Runs the body, which asks for SQLite's lock, when it is our turn.
    func take(_ body: () throws -> Void) throws {
        var attempts = 0
        while try !file.tryLock() {
            attempts += 1
            guard attempts < Self.attempts else {
                throw DatabaseError(resultCode: .SQLITE_BUSY, message: "others write all the time")
            }
            usleep(300)
        }
        defer { file.unlock() }
        try body()
    }

    /// Waits a moment for SQLite's lock; false when that was too often.
    static func waitForDatabase(attempt: Int) -> Bool {
        guard attempt < 12_000 else { return false }
        usleep(attempt < 100 ? 50 : 1_000)
        return true
    }
}
