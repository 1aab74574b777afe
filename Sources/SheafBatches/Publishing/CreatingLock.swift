import SheafBroker
import SheafCore

/// The right to publish a batch, taken again after a lost connection.
actor CreatingLock {
    private let client: SheafClient
    private let batch: Name
    private let journal: Journal
    private var lock: any BrokerLock
    private var taking: Task<any BrokerLock, any Error>?

    /// A broker may take its time to notice that our own old connection is gone, and shows the lock as held until then.
    private let patience: Duration

    init(_ lock: any BrokerLock, of batch: Name, client: SheafClient, journal: Journal, patience: Duration) {
        self.lock = lock
        self.batch = batch
        self.client = client
        self.journal = journal
        self.patience = patience
    }

    /// Takes the right to publish a batch, or throws `alreadyExists` where somebody has it.
    static func take(
        _ batch: Name,
        client: SheafClient,
        journal: Journal,
        waiting: Duration,
        patience: Duration
    ) async throws -> CreatingLock {
        // The broker may need a moment to see that a creator was killed.
        let deadline = ContinuousClock.now + waiting
        while true {
            if let lock = try await client.broker.acquireLock(client.names.creatingLock(batch: batch)) {
                return CreatingLock(lock, of: batch, client: client, journal: journal, patience: patience)
            }
            guard .now < deadline else {
                throw SheafError(.alreadyExists, "batch '\(batch)' is being created by somebody else at this moment")
            }
            try await Task.sleep(for: .milliseconds(100))
        }
    }

    /// Returns once the lock is held; throws `alreadyExists` where it was lost and somebody else has it or is done.
    func hold() async throws {
        if await lock.isHeld { return }
        // All who ask meanwhile wait for one attempt: to the broker, two of this process would be two that compete.
        let task = taking ?? Task { try await again() }
        taking = task
        defer { taking = nil }
        lock = try await task.value
    }

    /// Whether it is held now.
    var isHeld: Bool { get async { await lock.isHeld } }

    /// Gives the right back.
    func release() async {
        taking?.cancel()
        await lock.release()
    }

    private func again() async throws -> any BrokerLock {
        let taken = SheafError(
            .alreadyExists,
            "batch '\(batch)' is being created by somebody else since the connection was lost; nothing more is published here"
        )
        let deadline = ContinuousClock.now + patience
        while true {
            if let lock = try await client.broker.acquireLock(client.names.creatingLock(batch: batch)) {
                try await journal.catchUp()
                guard let record = journal[batch], record.sealedTotal != nil || record.ending != nil else {
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
