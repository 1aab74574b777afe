/// The buffered deliveries of a consumer, and the task that waits for more.
///
/// It is protected by a lock, so that deliveries can be taken without a switch to the thread of the connection.
final class ConsumerState: Sendable {
    typealias Batch = Result<[AMQPDelivery]?, AMQPError>

    private enum End {
        case cancelled
        case failed(AMQPError)
    }

    private struct State {
        var buffer: [AMQPDelivery] = []
        var waiter: CheckedContinuation<Batch, Never>?
        var end: End?

        /// Takes the buffered deliveries or the end; returns nil if the caller must wait.
        mutating func take() -> Batch? {
            if !buffer.isEmpty {
                let deliveries = buffer
                buffer = []
                return .success(deliveries)
            }
            return switch end {
            case nil: nil
            case .cancelled: .success(nil)
            case .failed(let error): .failure(error)
            }
        }
    }

    let tag: String
    private let state = Locked(State())

    init(tag: String) { self.tag = tag }

    /// Whether nothing more arrives.
    var hasEnded: Bool { state.withLock { $0.end != nil } }

    /// Buffers a delivery; `resumeWaiter` resumes the waiting task later.
    func receive(_ delivery: AMQPDelivery) {
        state.withLock { $0.buffer.append(delivery) }
    }

    /// Resumes the waiting task if there are deliveries or the consumer has ended.
    func resumeWaiter() {
        let resumed = state.withLock { state -> (CheckedContinuation<Batch, Never>, Batch)? in
            guard state.waiter != nil, let batch = state.take(), let waiter = state.waiter.take() else { return nil }
            return (waiter, batch)
        }
        if let (waiter, batch) = resumed { waiter.resume(returning: batch) }
    }

    /// Waits for deliveries or the end; one task at a time.
    func next() async -> Batch {
        if let batch = state.withLock({ $0.take() }) { return batch }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isCancelled = Task.isCancelled
                let batch = state.withLock { state -> Batch? in
                    if let batch = state.take() { return batch }
                    if isCancelled { return .failure(Self.waitCancelled) }
                    guard state.waiter == nil else {
                        let what = "another task already waits for the consumer \"\(tag)\""
                        return .failure(AMQPError(.invalidArgument, what))
                    }
                    state.waiter = continuation
                    return nil
                }
                if let batch { continuation.resume(returning: batch) }
            }
        } onCancel: {
            state.withLock { $0.waiter.take() }?.resume(returning: .failure(Self.waitCancelled))
        }
    }

    /// Ends the consumer with an error, which is thrown after the buffered deliveries were returned.
    func fail(_ error: AMQPError) {
        state.withLock { if $0.end == nil { $0.end = .failed(error) } }
        resumeWaiter()
    }

    /// Ends the consumer and returns the buffered deliveries.
    func cancel() -> [AMQPDelivery] {
        let rest = state.withLock { state in
            let rest = state.buffer
            state.buffer = []
            if state.end == nil { state.end = .cancelled }
            return rest
        }
        resumeWaiter()
        return rest
    }

    private static var waitCancelled: AMQPError {
        AMQPError(.cancelled, "the task waiting for deliveries was cancelled")
    }
}
