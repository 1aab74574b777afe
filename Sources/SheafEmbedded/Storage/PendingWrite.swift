import SheafBroker

/// An operation that waits for its transaction.
struct PendingWrite {
    /// About how many rows it changes.
    let rows: Int
    /// Runs the operation; what it returns tells the caller the result, once the transaction is committed.
    let run: (SQLTransaction) throws -> () -> Void
    /// Tells the caller that nothing was done.
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
                // A refusal, made before anything was changed: the others' work goes on.
                result = .failure(error)
            }
            return { continuation.resume(with: result) }
        }
        self.fail = { continuation.resume(throwing: $0) }
    }
}
