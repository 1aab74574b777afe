import SheafBroker
import SheafCore

/// The lock that a process holds while it publishes a batch; taken again after a lost connection.
actor CreatingLock {
    private let client: SheafClient
    private let batch: Name
    private let journal: Journal
    private var lock: any BrokerLock
    private var taking: Task<any BrokerLock, any Error>?

    /// How long taking the lock again may take: the broker reports it as held until it notices that the old connection
    /// is gone.
    private let patience: Duration

    init(_ lock: any BrokerLock, of batch: Name, client: SheafClient, journal: Journal, patience: Duration) {
        self.lock = lock
        self.batch = batch
        self.client = client
        self.journal = journal
        self.patience = patience
    }

    /// Takes the lock; throws `alreadyExists` if another process holds it.
    static func take(
        _ batch: Name,
        client: SheafClient,
        journal: Journal,
        waiting: Duration,
        patience: Duration
    ) async throws -> CreatingLock {
        // The broker may need some time to notice that a creator was killed.
        let deadline = ContinuousClock.now + waiting
        while true {
            if let lock = try await client.broker.acquireLock(client.names.creatingLock(batch: batch)) {
                return CreatingLock(lock, of: batch, client: client, journal: journal, patience: patience)
            }
            guard .now < deadline else {
                throw SheafError(.alreadyExists, "batch '\(batch)' is being created by another process")
            }
            try await Task.sleep(for: .milliseconds(100))
        }
    }

    /// Returns once the lock is held; throws `alreadyExists` if it was lost and another process holds it or is done.
    func hold() async throws {
        if await lock.isHeld { return }
        // All callers wait for one attempt: two attempts of one process would compete at the broker.
        let task = taking ?? Task { try await again() }
        taking = task
        defer { taking = nil }
        lock = try await task.value
    }

    /// Whether it is held now.
    var isHeld: Bool { get async { await lock.isHeld } }

    /// Releases the lock.
    func release() async {
        taking?.cancel()
        await lock.release()
    }

    private func again() async throws -> any BrokerLock {
        let taken = SheafError(
            .alreadyExists,
            "batch '\(batch)' was taken over by another creator after the connection was lost; this one has stopped"
        )
        let deadline = ContinuousClock.now + patience
        while true {
            if let lock = try await client.broker.acquireLock(client.names.creatingLock(batch: batch)) {
                try await journal.catchUp()
                guard let info = journal[batch], info.sealedTotal != nil || info.ending != nil else {
                    return lock
                }
                await lock.release()
                throw taken
            }
            if .now > deadline { throw taken }
            try await Task.sleep(for: .milliseconds(200))
        }
    }
}
