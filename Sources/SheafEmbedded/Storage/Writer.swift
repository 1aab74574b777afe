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

    init(_ directory: BrokerDirectory, _ clock: FileClock) throws {
        self.connection = try Connection(directory.database, clock)
        self.turn = try TurnLock(directory.turn)
    }

    /// Makes the tables in a new file, and starts its clock.
    func prepare() throws {
        try connection.run { try Schema.prepare($0) }
        try transaction { try $0.clock.start(in: $0) }
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
        try transaction(last)
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
            // One of them failed the transaction: alone, only that one does.
            for write in group { self.write([write], isLastTry: isFull) }
        }
    }

    /// Runs a body in a transaction of its own, when it is our turn.
    private func transaction<Value>(_ body: (SQLTransaction) throws -> Value) throws -> Value {
        try connection.write(onTurn: { try turn.take($0) }, body)
    }
}
