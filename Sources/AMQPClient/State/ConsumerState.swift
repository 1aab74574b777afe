/// What a consumer has received and not handed out, and who waits for more.
///
/// Behind a lock, so that what is there can be taken without a turn on the thread of the connection.
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

        /// Takes what there is to hand out, or nil to wait.
        mutating func take() -> Batch? {
            if !self.buffer.isEmpty {
                let deliveries = self.buffer
                self.buffer = []
                return .success(deliveries)
            }
            return switch self.end {
            case nil: nil
            case .cancelled: .success(nil)
            case .failed(let error): .failure(error)
            }
        }
    }

    let tag: String
    private let state = Locked(State())

    init(tag: String) { self.tag = tag }

    /// Buffers a delivery; whoever waits is resumed later, by `resumeWaiter`.
    func receive(_ delivery: AMQPDelivery) {
        self.state.withLock { $0.buffer.append(delivery) }
    }

    /// Resumes who waits if there is something to hand out.
    func resumeWaiter() {
        let resumed = self.state.withLock { state -> (CheckedContinuation<Batch, Never>, Batch)? in
            guard state.waiter != nil, let batch = state.take(), let waiter = state.waiter.take() else { return nil }
            return (waiter, batch)
        }
        if let (waiter, batch) = resumed { waiter.resume(returning: batch) }
    }

    /// Waits for something to hand out; one task at a time.
    func next() async -> Batch {
        if let batch = self.state.withLock({ $0.take() }) { return batch }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isCancelled = Task.isCancelled
                let batch = self.state.withLock { state -> Batch? in
                    if let batch = state.take() { return batch }
                    if isCancelled { return .failure(Self.waitCancelled) }
                    guard state.waiter == nil else {
                        let what = "another task waits for the consumer \"\(self.tag)\" already"
                        return .failure(AMQPError(.invalidArgument, what))
                    }
                    state.waiter = continuation
                    return nil
                }
                if let batch { continuation.resume(returning: batch) }
            }
        } onCancel: {
            self.state.withLock { $0.waiter.take() }?.resume(returning: .failure(Self.waitCancelled))
        }
    }

    /// Ends the consumer with an error, seen after what has arrived.
    func fail(_ error: AMQPError) {
        self.state.withLock { if $0.end == nil { $0.end = .failed(error) } }
        self.resumeWaiter()
    }

    /// Ends the consumer and takes what was not handed out.
    func cancel() -> [AMQPDelivery] {
        let rest = self.state.withLock { state in
            let rest = state.buffer
            state.buffer = []
            if state.end == nil { state.end = .cancelled }
            return rest
        }
        self.resumeWaiter()
        return rest
    }

    private static var waitCancelled: AMQPError {
        AMQPError(.cancelled, "the task waiting for deliveries was cancelled")
    }
}
