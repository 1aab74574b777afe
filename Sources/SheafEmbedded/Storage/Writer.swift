import GRDB
import SheafBroker

/// The only one that writes to the file in this instance; what is asked for at the same time shares a transaction.
actor Writer {
    private let executor = DispatchQueueExecutor(label: "sheaf.embedded.writer")
    private let connection: Connection
    private let turn: TurnLock
    private var pending: [PendingWrite] = []
    private var isScheduled = false
    private var isClosed = false

    /// How many rows one transaction changes before the next one begins: others want their turn too.
    private static let rowsAtOnce = 2_000

    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    init(_ directory: BrokerDirectory) throws {
        self.connection = try Connection(directory.database)
        self.turn = try TurnLock(directory.turn)
    }

    /// Makes the tables in a new file.
    func prepare() throws {
        try connection.run { try Schema.prepare($0) }
    }

    /// Runs an operation in a transaction and returns when that is committed.
    ///
    /// The operation may run more than once, and must throw ``BrokerError`` only before it has changed anything: what
    /// it did until then is committed with the others.
    func perform<Value: Sendable>(
        rows: Int = 1,
        _ operation: @escaping @Sendable (SQLTransaction) throws -> Value
    ) async throws -> Value {
        guard !isClosed else { throw Self.closed }
        return try await withCheckedThrowingContinuation { continuation in
            pending.append(PendingWrite(rows: rows, operation: operation, continuation: continuation))
            schedule()
        }
    }

    /// Refuses what still waits, runs a last operation and closes the file.
    func close(_ last: @escaping @Sendable (SQLTransaction) throws -> Void) throws {
        guard !isClosed else { return }
        isClosed = true
        let refused = pending
        pending = []
        for write in refused { write.fail(Self.closed) }
        defer { connection.close() }
        try connection.run { database in
            try turn.take { try database.beginTransaction(.immediate) }
            do {
                try last(SQLTransaction(database))
                try database.commit()
            } catch {
                try? database.rollback()
                throw error
            }
        }
    }

    static let closed = BrokerError(.closed, "the broker was closed")

    private func schedule() {
        guard !isScheduled else { return }
        isScheduled = true
        // Behind the calls that are already on their way to this actor, which thereby come into the same transaction.
        Task { writeGroup() }
    }

    private func writeGroup() {
        isScheduled = false
        var rows = 0
        var count = 0
        while count < pending.count, rows < Self.rowsAtOnce {
            rows += pending[count].rows
            count += 1
        }
        guard count > 0 else { return }
        let group = Array(pending[..<count])
        pending.removeFirst(count)
        if !pending.isEmpty { schedule() }
        write(group)
    }

    private func write(_ group: [PendingWrite]) {
        do {
            let finish = try connection.run { database in
                try turn.take { try database.beginTransaction(.immediate) }
                do {
                    let transaction = SQLTransaction(database)
                    let finish = try group.map { try $0.run(transaction) }
                    try database.commit()
                    return finish
                } catch {
                    try? database.rollback()
                    throw error
                }
            }
            for finish in finish { finish() }
        } catch let error as BrokerError where error.code == .timedOut || group.count == 1 {
            for write in group { write.fail(error) }
        } catch {
            guard group.count > 1 else { return group[0].fail(error) }
            // One of them failed the transaction: alone, only that one does.
            for write in group { self.write([write]) }
        }
    }
}
