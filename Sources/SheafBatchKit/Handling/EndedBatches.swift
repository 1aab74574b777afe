import Logging
import OrderedCollections
import ServiceLifecycle
import SheafBatches
import SheafCore
import Synchronization

/// The batches that have ended and are not processed yet; passes them to the functions of a ``BatchHandler``.
final class EndedBatches: Sendable {
    private struct Entry {
        var batch: HandledBatch
        /// When the function is called, again or at first.
        var due = ContinuousClock.now
        /// The time to wait after the next failure.
        var delay: Duration
    }

    private let handler: BatchHandler
    private let entries = Mutex<OrderedDictionary<Name, Entry>>([:])
    private let changed = Changes()

    init(_ handler: BatchHandler) { self.handler = handler }

    func clear() { entries.withLock { $0 = [:] } }

    func contains(_ batch: Name) -> Bool { entries.withLock { $0[batch] != nil } }

    /// Adds a batch that has ended.
    func add(_ batch: HandledBatch) {
        entries.withLock { entries in
            if entries[batch.id] == nil {
                entries[batch.id] = Entry(batch: batch, delay: handler.configuration.retryDelay.first)
            }
        }
        changed.notify()
    }

    /// Processes batches, one at a time, until a shutdown or cancellation.
    func process() async throws {
        try await withThrowingDiscardingTaskGroup { timers in
            for await _ in changed.stream().cancelOnGracefulShutdown() {
                while !Task.isShuttingDownGracefully, let batch = next() {
                    guard let pause = try await pause(afterProcessing: batch) else { continue }
                    timers.addTask { [changed] in
                        try? await Task.sleep(for: pause)
                        changed.notify()
                    }
                }
            }
            timers.cancelAll()
            try Task.checkCancellation()
        }
    }

    /// The first batch that is due.
    private func next() -> HandledBatch? {
        entries.withLock { entries in entries.values.first { $0.due <= .now }?.batch }
    }

    /// Calls a function for a batch; returns nil if it returned, or how long to wait until it is called again.
    private func pause(afterProcessing batch: HandledBatch) async throws -> Duration? {
        let configuration = handler.configuration
        do {
            try await (batch.failure == nil ? configuration.process : configuration.fail)(batch)
            // Only now, so that the function is called again if this process ends before.
            try await handler.storage?.remove(batch.id)
            try await handler.queue.finish(batch.id)
            entries.withLock { $0[batch.id] = nil }
            return nil
        } catch {
            try Task.checkCancellation()
            let pause = postpone(batch.id)
            configuration.logger.error("batch '\(batch.id)' was not processed: \(error); trying again in \(pause)")
            return pause
        }
    }

    private func postpone(_ batch: Name) -> Duration {
        let longest = handler.configuration.retryDelay.longest
        return entries.withLock { entries in
            guard var entry = entries[batch] else { return longest }
            let pause = entry.delay * Double.random(in: 0.5...1)
            entry.due = .now + pause
            entry.delay = min(entry.delay * 2, longest)
            entries[batch] = entry
            return pause
        }
    }
}
