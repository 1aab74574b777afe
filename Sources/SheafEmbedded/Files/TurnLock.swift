import Glibc

/// Whose turn it is to wait for SQLite's write lock, so that a busy process does not keep it from all others.
///
/// SQLite gives its lock to whoever asks first after it is free, which is nearly always the process that just had it.
/// Here one has to hold the turn while asking; who has just written finds the turn with the next one and waits behind
/// it. The turn is for fairness only: when its holder does not move, because it was suspended, the others go on
/// without it.
final class TurnLock: Sendable {
    private let file: FileLock
    /// How long to wait for the turn.
    private static let patience = Duration.seconds(2)

    /// Opens the file of the turn.
    init(_ path: String) throws {
        self.file = try FileLock.open(path)
    }

    /// Runs the body, which asks for SQLite's lock, when it is our turn.
    func take(_ body: () throws -> Void) throws {
        let clock = ContinuousClock()
        let start = clock.now
        var isOurs = try file.tryLock()
        while !isOurs, clock.now - start < Self.patience {
            usleep(300)
            isOurs = try file.tryLock()
        }
        defer { if isOurs { file.unlock() } }
        try body()
    }

    /// Waits a moment for SQLite's lock; false when that was too often, after about 8 s.
    static func waitForDatabase(attempt: Int) -> Bool {
        guard attempt < 7_000 else { return false }
        usleep(attempt < 100 ? 50 : 1_000)
        return true
    }
}
