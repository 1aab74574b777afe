import Logging
public import ServiceLifecycle
import SheafBroker
import SheafCore
import SheafFlows

/// Pulls tasks from the broker and runs them, so many at a time.
///
/// Run it by itself, or in a `ServiceGroup`: a graceful shutdown takes no more tasks and finishes those that run; cancelling
/// the task that runs it gives them back to the queue. A worker also stands by as aggregator.
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
            state.leave()
        }
    }

    private func work() async throws {
        let journal = try await Journal.read(from: client)
        if let batch = configuration.batch { _ = try journal.find(batch.text) }
        let inbox = TaskInbox()
        let writer = OutcomeWriter(client: client, state: state)
        let fetcher = TaskFetcher(
            client: client,
            configuration: configuration,
            journal: journal,
            state: state,
            inbox: inbox,
            writer: writer
        )
        if configuration.limit != nil { await writer.beforeSettling { try await fetcher.willSettle($0) } }
        let signals = SignalSender(client: client, worker: configuration.name, state: state)
        let result = await withTaskCancellationHandler {
            await Self.catching { try await self.runParts(journal, inbox, writer, fetcher, signals) }
        } onCancel: {
            inbox.close()
        }
        inbox.close()
        // Whatever the reason to leave: what is done is written, what is not goes back, and nothing is left to guess.
        let state = self.state
        try await withoutCancellation {
            try await writer.flush()
            try await fetcher.stop()
            let rest = state.held
            state.note { $0.returned += rest.count }
            try await writer.settle(rest, as: .returned)
        }
        await signals.sayNothingRuns()
        try result.get()
        try Task.checkCancellation()
    }

    private func runParts(
        _ journal: Journal,
        _ inbox: TaskInbox,
        _ writer: OutcomeWriter,
        _ fetcher: TaskFetcher,
        _ signals: SignalSender
    ) async throws {
        let goal = WorkerGoal(
            client: client,
            configuration: configuration,
            journal: journal,
            state: state,
            fetcher: fetcher
        )
        let slot = TaskSlot(
            client: client,
            worker: configuration.name,
            flows: Dictionary(configuration.flows.map { ($0.name, $0) }, uniquingKeysWith: { $1 }),
            journal: journal,
            state: state,
            writer: writer,
            giveBack: { try await fetcher.giveBack($0) }
        )
        let aggregator = Aggregator(client: client, journal: journal)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await journal.run() }
            group.addTask { try await aggregator.run() }
            group.addTask { try await signals.run() }
            group.addTask { try await writer.run() }
            group.addTask { try await fetcher.run() }
            for _ in 0..<configuration.concurrency { group.addTask { try await slot.run(inbox) } }
            group.addTask { [state] in
                try await goal.reach()
                state.leave()
                try await fetcher.stop()
                await state.waitUntilNothingHeld()
            }
            // Nothing else ends by itself, so the first to end has reached the goal, or has failed.
            defer {
                group.cancelAll()
                inbox.close()
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
