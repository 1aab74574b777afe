import SheafBroker

/// Reads from the file beside the writer, which it never waits for.
actor Reader {
    private let executor = DispatchQueueExecutor(label: "sheaf.embedded.reader")
    private let connection: Connection
    private var isClosed = false

    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    init(_ directory: BrokerDirectory, _ clock: FileClock) throws {
        self.connection = try Connection(directory.database, clock)
    }

    /// Runs an operation that sees one state of the file.
    func read<Value: Sendable>(_ operation: @Sendable (SQLTransaction) throws -> Value) throws -> Value {
        guard !isClosed else { throw Writer.closed }
        return try connection.read(operation)
    }

    /// Closes the file.
    func close() {
        guard !isClosed else { return }
        isClosed = true
        connection.close()
    }
}
