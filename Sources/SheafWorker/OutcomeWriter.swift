import Logging
import SheafBatches
import SheafBroker
import SheafCore

/// Writes outcomes to the results logs, and acknowledges tasks whose outcome is confirmed, never before.
///
/// While one append is on its way, and for a moment after it, outcomes gather for the next; when there was none for a while,
/// an outcome goes at once. While the broker takes none, the slots start nothing new, so what gathers is bounded by what is
/// held.
actor OutcomeWriter {
    let client: SheafClient
    let state: WorkerState
    let journal: Journal
    let inbox: TaskInbox
    private let buffer = OutcomeBuffer()
    private var isWriting = false
    /// When the next append may begin, and until when outcomes should gather for it.
    private var nextWrite: (least: ContinuousClock.Instant, wanted: ContinuousClock.Instant)?
    /// What is confirmed and waits for its acknowledgement.
    private var ended = PendingSettlement()
    private var isSettling = false
    /// Since when the append under way is tried.
    private var since: ContinuousClock.Instant?
    private let wake = Changes()
    private let wakeForSettling = Changes()
    /// Told how many deliveries are about to be settled, each of which lets the broker send another.
    private(set) var beforeSettling: (@Sendable (Int) async throws -> Void)?

    /// How long an append may take before nothing new is started.
    static let patience = Duration.seconds(1)
    /// How long an append, or what else belongs to the end of a task, is tried after the worker was told to leave.
    static let lastPatience = Duration.seconds(5)
    private static let tick = Duration.milliseconds(250)
    /// The least time from one append to the next.
    private static let gathering = Duration.milliseconds(3)
    /// The same where the last one had several outcomes: the more there are, the longer, since each append and what follows it
    /// costs the same.
    private static func gathering(_ count: Int) -> Duration {
        min(.milliseconds(30), max(.milliseconds(20), .microseconds(100) * count))
    }
    /// How often it looks meanwhile whether slots have nothing to do.
    private static let look = Duration.milliseconds(9)

    init(client: SheafClient, state: WorkerState, journal: Journal, inbox: TaskInbox) {
        self.client = client
        self.state = state
        self.journal = journal
        self.inbox = inbox
    }

    /// Has somebody told of each settlement before it happens.
    func beforeSettling(_ call: @escaping @Sendable (Int) async throws -> Void) {
        beforeSettling = call
    }

    /// Takes over an outcome and the delivery of its task.
    nonisolated func submit(_ outcome: Outcome, of item: InboxItem, batch: Name) {
        // Who finds something there has been told of already.
        if buffer.add(outcome, of: item, to: batch) { wake.notify() }
    }

    /// Tells the log that this worker has begun with a batch.
    nonisolated func submitStart(of batch: Name, worker: String) {
        let message = ResultMessage.started(batch: batch, worker: worker, at: .now)
        if buffer.add(message, to: batch, first: true) { wake.notify() }
    }

    /// Tells the log something that nobody waits for.
    nonisolated func submitNote(_ message: Message, to batch: Name) {
        if buffer.add(message, to: batch) { wake.notify() }
    }

    /// Writes until cancelled; what is written is acknowledged while the next is on its way.
    func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                for await _ in self.wake.stream() { try await self.write() }
                try Task.checkCancellation()
            }
            group.addTask {
                for await _ in self.wakeForSettling.stream() { try await self.settleEnded() }
                try Task.checkCancellation()
            }
            group.addTask { try await self.watch() }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    /// Writes all there is, and returns when it is confirmed and acknowledged; for the end of the worker.
    func flush() async throws {
        try await write()
        try await settleEnded()
    }

    /// Writes all there is.
    private func write() async throws {
        // Who writes takes what has come meanwhile too; nothing overtakes it.
        if isWriting { return }
        isWriting = true
        defer { isWriting = false }
        while !buffer.isEmpty {
            await gather()
            guard let batches = buffer.take() else { return }
            var unwritten = batches.values.reduce(0) { $0 + $1.items.count }
            // With a permit, an outcome that waits keeps the next task from beginning.
            let hasPermits = batches.values.contains { $0.items.contains { $0.permit != nil } }
            let pause = unwritten < 2 || hasPermits ? Self.gathering : Self.gathering(unwritten)
            defer { nextWrite = (.now + Self.gathering, .now + pause) }
            for (batch, entry) in batches {
                do {
                    try await write(entry, of: batch)
                    unwritten -= entry.items.count
                } catch {
                    client.logger.error("\(unwritten) outcomes are not written, and their tasks come again: \(error)")
                    throw error
                }
            }
        }
    }

    /// Waits while outcomes gather: an append costs the broker hardly more for many than for one.
    ///
    /// After a pause, one waits for nothing. Where slots have nothing to do, the next tasks may come only when these are
    /// acknowledged.
    private func gather() async {
        guard let nextWrite, nextWrite.wanted > .now else { return }
        var next = nextWrite.least
        while !Task.isCancelled {
            try? await Task.sleep(until: next, clock: .continuous)
            if inbox.isAwaited || next >= nextWrite.wanted { return }
            next = min(nextWrite.wanted, next + Self.look)
        }
    }

    private func write(_ entry: OutcomeBuffer.Entry, of batch: Name) async throws {
        do {
            try await append(entry.messages, of: batch)
        } catch let error as BrokerError {
            guard error.code == .notFound else { throw error }
            client.logger.error(
                "batch \(batch): its results log was deleted; \(entry.items.count) outcomes are dropped"
            )
        }
        state.finish(entry.items, of: batch, adding: &ended)
        wakeForSettling.notify()
    }

    /// Acknowledges the tasks whose outcomes are confirmed.
    private func settleEnded() async throws {
        if isSettling { return }
        isSettling = true
        defer { isSettling = false }
        while !ended.isEmpty {
            let settling = ended
            ended = PendingSettlement()
            do {
                try await beforeSettling?(settling.released.count)
            } catch {
                // They have their outcomes, and whoever wraps up for the end acknowledges them.
                ended.add(settling)
                throw error
            }
            try await end(settling, as: .acknowledged)
        }
    }

    /// Appends, however often that takes; not left half done when the worker is told to leave, since the flow has run.
    private func append(_ messages: [Message], of batch: Name) async throws {
        let (broker, journal) = (client.broker, self.journal)
        let log = client.names.results(batch: batch)
        since = .now
        defer {
            since = nil
            noteStall()
        }
        try await finishing(within: Self.lastPatience) {
            try await persisting(unless: { journal[batch] == nil }) {
                try await retrying { try await broker.append(messages, to: log) }
            }
        }
    }

    /// Looks again and again whether the append under way takes too long.
    private func watch() async throws {
        while true {
            try await Task.sleep(for: Self.tick)
            noteStall()
        }
    }

    private func noteStall() {
        let isStalled = since.map { .now - $0 > Self.patience } ?? false
        guard isStalled != state.isStalled else { return }
        if isStalled {
            client.logger.warning(
                "the broker takes no outcomes for now: what runs goes on, and nothing new is started until it does"
            )
        } else {
            client.logger.warning("the broker takes outcomes again")
        }
        state.setStalled(isStalled)
    }
}
