import Logging
public import ServiceLifecycle
public import SheafBatches
import SheafBroker
import SheafCore
import SheafFlows

/// Pulls tasks from the broker and runs them, so many at a time.
///
/// Run it by itself, or in a `ServiceGroup`: a graceful shutdown takes no more tasks and gives those that run the time of
/// ``WorkerConfiguration/grace``; cancelling the task that runs it gives them back to the queue at once. A worker also stands
/// by as aggregator.
public final class Worker: Service {
    private let client: SheafClient
    private let configuration: WorkerConfiguration
    private let state = WorkerState()

    /// Makes a worker.
    public init(client: SheafClient, configuration: WorkerConfiguration) {
        self.client = client
        self.configuration = configuration
    }

    /// What it has done so far.
    public var report: WorkerReport { state.report }

    /// Works until its configuration says to leave, or it is shut down; throws what keeps it from working at all.
    @concurrent
    public func run() async throws {
        try await withGracefulShutdownHandler {
            try await work()
        } onGracefulShutdown: { [state] in
            state.leave(shuttingDown: true)
        }
    }

    private func work() async throws {
        let journal = try await Journal.read(from: client)
        if let batch = configuration.batch { _ = try journal.find(batch.text) }
        let book = RateLimits(client: client, worker: configuration.name)
        try await book.catchUp()
        for limit in configuration.rateLimits { try await TokenMint(client: client, book: book).establish(limit) }
        let parts = WorkerParts(client, configuration, journal, book, state)
        if configuration.maxTasks != nil {
            await parts.writer.beforeSettling { [fetcher = parts.fetcher] in try await fetcher.willSettle($0) }
        }
        let result = await withTaskCancellationHandler {
            await Self.catching { try await self.run(parts) }
        } onCancel: {
            parts.inbox.close()
        }
        parts.inbox.close()
        let end = await Self.catching { try await withoutCancellation { try await parts.wrapUp() } }
        await parts.signals.sayNothingRuns()
        try result.get()
        try end.get()
        try Task.checkCancellation()
    }

    private func run(_ parts: WorkerParts) async throws {
        let (configuration, state) = (self.configuration, self.state)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await persisting { try await parts.journal.run() } }
            group.addTask { try await persisting { try await parts.aggregator.run() } }
            group.addTask { try await persisting { try await parts.book.run() } }
            for gate in parts.gates { group.addTask { try await gate.run() } }
            group.addTask { try await persisting { try await parts.signals.run() } }
            group.addTask { try await parts.writer.run() }
            group.addTask { try await parts.fetcher.run() }
            group.addTask { try await parts.keeper.run() }
            for _ in 0..<configuration.concurrency { group.addTask { try await parts.slot.run(parts.inbox) } }
            group.addTask {
                try await parts.goal.reach()
                state.leave()
                try await parts.fetcher.stop()
                await state.waitUntilNothingHeld()
            }
            if let grace = configuration.grace {
                group.addTask {
                    await state.waitUntilShuttingDown()
                    try await Task.sleep(for: grace)
                    parts.client.logger.warning("\(state.heldCount) tasks have not ended within \(grace) and go back")
                }
            }
            // Nothing else ends by itself, so the first to end has reached the goal, has waited long enough, or has failed.
            defer {
                group.cancelAll()
                parts.inbox.close()
            }
            try await group.next()
        }
    }

    private static func catching(_ body: () async throws -> Void) async -> Result<Void, any Error> {
        do {
            return .success(try await body())
        } catch {
            return .failure(error)
        }
    }
}
