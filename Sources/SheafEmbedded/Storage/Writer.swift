import GRDB
import SheafBroker

/// The only writer of this instance; concurrent operations share a transaction.
actor Writer {
    private let executor = DispatchQueueExecutor(label: "sheaf.embedded.writer")
    private let connection: Connection
    private let turn: TurnLock
    private var pending: [PendingWrite] = []
    private var isScheduled = false
    private var isClosed = false

    /// The number of changed rows after which a new transaction begins, so that other processes get their turn.
    private static let rowsAtOnce = 2_000

    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    init(_ directory: BrokerDirectory, _ clock: FileClock) throws {
        self.connection = try Connection(directory.database, clock)
        self.turn = try TurnLock(directory.turn)
    }

    /// Creates the tables of a new file, and starts its clock.
    func prepare() throws {
        try connection.run { try Schema.prepare($0) }
        try transaction { try $0.clock.start(in: $0) }
    }

    /// Runs an operation in a transaction and returns when the transaction is committed.
    ///
    /// The operation may run more than once. It must throw ``BrokerError`` only before its first change, because
    /// changes made before such an error are committed with those of the other operations.
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

    /// Fails pending operations, runs a last operation and closes the file.
    func close(_ last: @escaping @Sendable (SQLTransaction) throws -> Void) throws {
        guard !isClosed else { return }
        isClosed = true
        let refused = pending
        pending = []
        for write in refused { write.fail(Self.closed) }
        defer { connection.close() }
        try transaction(last)
    }

    static let closed = BrokerError(.closed, "the broker was closed")

    private func schedule() {
        guard !isScheduled else { return }
        isScheduled = true
        // Runs after the calls that are already queued on this actor, so that they share the transaction.
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

    private func write(_ group: [PendingWrite], isLastTry: Bool = false) {
        do {
            let finish = try transaction { transaction in try group.map { try $0.run(transaction) } }
            for finish in finish { finish() }
        } catch {
            let isFull = (error as? BrokerError)?.code == .blocked
            if isFull, !isLastTry, connection.emptyLog() { return write(group, isLastTry: true) }
            guard group.count > 1, (error as? BrokerError)?.code != .timedOut else {
                for write in group { write.fail(error) }
                return
            }
            // One operation failed the transaction; run separately, only that one fails.
            for write in group { self.write([write], isLastTry: isFull) }
        }
    }

    /// Runs a body in a transaction when this process has the turn.
    private func transaction<Value>(_ body: (SQLTransaction) throws -> Value) throws -> Value {
        try connection.write(onTurn: { try turn.take($0) }, body)
    }
}

/// An operation that waits for its transaction.
private struct PendingWrite {
    /// The approximate number of rows that it changes.
    let rows: Int
    /// Runs the operation; the returned closure passes the result to the caller after the commit.
    let run: (SQLTransaction) throws -> () -> Void
    /// Fails the caller with an error.
    let fail: (any Error) -> Void

    init<Value: Sendable>(
        rows: Int,
        operation: @escaping @Sendable (SQLTransaction) throws -> Value,
        continuation: CheckedContinuation<Value, any Error>
    ) {
        self.rows = rows
        self.run = { transaction in
            let result: Result<Value, any Error>
            do {
                result = .success(try operation(transaction))
            } catch let error as BrokerError {
                // Thrown before any change, so the other operations of the transaction continue.
                result = .failure(error)
            }
            return { continuation.resume(with: result) }
        }
        self.fail = { continuation.resume(throwing: $0) }
    }
}
