import Logging
import SheafBatches
import SheafBroker
import SheafCore
import Synchronization

/// Writes outcomes to the results logs, and acknowledges tasks whose outcome is confirmed, never before.
///
/// While one append is on its way, and shortly after it, outcomes gather for the next; if there was none for a while,
/// an outcome is written at once. While the broker takes none, the slots start nothing new, so what gathers is
/// bounded by what is held.
actor OutcomeWriter {
    private let client: SheafClient
    private let ledger: SharedTaskLedger
    private let lifecycle: WorkerLifecycle
    private let inbox: TaskInbox
    private let settler: TaskSettler
    private let timing: WorkerTiming
    private let observer: (any WorkerObserver)?
    private let buffer = OutcomeBuffer()
    private var isWriting = false
    /// When the next append may begin, and until when outcomes should gather for it.
    private var nextWrite: (least: ContinuousClock.Instant, wanted: ContinuousClock.Instant)?
    /// What is confirmed and waits for its acknowledgement.
    private var confirmed = PendingSettlement()
    private var isSettling = false
    /// Since when the current append is tried.
    private var since: ContinuousClock.Instant?
    private let wake = Changes()
    /// Reports that the writer took what had gathered.
    private let taken = Changes()
    /// How many outcomes wait before a bulk reports no more: several appends' worth.
    private static let room = 4_096
    private let wakeForSettling = Changes()

    init(_ context: WorkerContext, settler: TaskSettler) {
        self.client = context.client
        self.ledger = context.ledger
        self.lifecycle = context.lifecycle
        self.inbox = context.inbox
        self.settler = settler
        self.timing = context.timing
        self.observer = context.configuration.observer
    }

    /// Accepts an outcome and the delivery of its task.
    nonisolated func submit(_ outcome: Outcome, of delivery: TaskDelivery, batch: Name) {
        // If something is there already, the writer has been notified.
        if buffer.add(outcome, of: delivery, to: batch) { wake.notify() }
    }

    /// Waits until the outcomes that wait to be written are few, or the task is cancelled.
    ///
    /// A bulk may have tens of thousands of results at once, and reads them faster than a broker takes outcomes.
    nonisolated func waitForRoom() async {
        if buffer.count < Self.room { return }
        for await _ in taken.stream() where buffer.count < Self.room { return }
    }

    /// Accepts the note that this worker has begun with a batch.
    nonisolated func submitStart(of batch: Name, worker: String) {
        let message = ResultMessage.started(batch: batch, worker: worker, at: .now)
        if buffer.add(message, to: batch, first: true) { wake.notify() }
    }

    /// Accepts a note whose writing nothing waits for.
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
                for await _ in self.wakeForSettling.stream() { try await self.acknowledgeConfirmed() }
                try Task.checkCancellation()
            }
            group.addTask { try await self.watch() }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    /// Writes everything, and returns once it is confirmed and acknowledged; for the end of the worker.
    func flush() async throws {
        try await write()
        try await acknowledgeConfirmed()
    }

    /// Writes everything that waits.
    private func write() async throws {
        // The running write takes what comes meanwhile too, and nothing overtakes it.
        if isWriting { return }
        isWriting = true
        defer { isWriting = false }
        while !buffer.isEmpty {
            await gather()
            guard let batches = buffer.take() else { return }
            taken.notify()
            var unwritten = batches.values.reduce(0) { $0 + $1.deliveries.count }
            // With a permit, an outcome that waits keeps the next task from beginning.
            let hasPermits = batches.values.contains { $0.deliveries.contains { $0.permit != nil } }
            let pause = unwritten < 2 || hasPermits ? timing.gathering : timing.gathering(after: unwritten)
            defer { nextWrite = (.now + timing.gathering, .now + pause) }
            for (batch, entry) in batches {
                do {
                    try await write(entry, of: batch)
                    unwritten -= entry.deliveries.count
                } catch {
                    client.logger.error("cannot write \(unwritten) outcomes, whose tasks will run again: \(error)")
                    throw error
                }
            }
        }
    }

    /// Waits while outcomes gather: an append costs the broker hardly more for many than for one.
    ///
    /// After a pause, it does not wait. If slots have nothing to do, the next tasks may come only once these are
    /// acknowledged.
    private func gather() async {
        guard let nextWrite, nextWrite.wanted > .now else { return }
        var next = nextWrite.least
        while !Task.isCancelled {
            try? await Task.sleep(until: next, clock: .continuous)
            if inbox.isAwaited || next >= nextWrite.wanted { return }
            next = min(nextWrite.wanted, next + timing.gatheringLook)
        }
    }

    private func write(_ entry: OutcomeBuffer.Entry, of batch: Name) async throws {
        do {
            let start = ContinuousClock.now
            try await append(entry.messages, of: batch)
            observer?.outcomesConfirmed(entry.deliveries.count, after: .now - start)
        } catch let error as BrokerError {
            guard error.code == .notFound else { throw error }
            client.logger.error(
                "batch \(batch): its results log was deleted; \(entry.deliveries.count) outcomes are dropped"
            )
        }
        confirm(entry.deliveries, of: batch)
        wakeForSettling.notify()
    }

    private func confirm(_ deliveries: [TaskDelivery], of batch: Name) {
        confirmed.add(
            ledger.withLock { ledger in
                var settlement = PendingSettlement()
                ledger.confirm(deliveries, of: batch, adding: &settlement)
                return settlement
            }
        )
    }

    /// Acknowledges the tasks whose outcomes are confirmed.
    private func acknowledgeConfirmed() async throws {
        if isSettling { return }
        isSettling = true
        defer { isSettling = false }
        while !confirmed.isEmpty {
            let settlement = confirmed
            confirmed = PendingSettlement()
            // If it is cancelled before, they have their outcomes, and the end of the worker acknowledges them.
            try await settler.acknowledge(settlement) { confirmed.add(settlement) }
        }
    }

    /// Appends, however many tries that takes; goes on for a while if the worker is told to leave, since the flow has
    /// run.
    private func append(_ messages: [Message], of batch: Name) async throws {
        let broker = client.broker
        let log = client.names.results(batch: batch)
        since = .now
        defer {
            since = nil
            noteStall()
        }
        try await finishing(within: timing.lastPatience) {
            try await retrying { try await broker.append(messages, to: log) }
        }
    }

    /// Checks at intervals whether the current append takes too long.
    private func watch() async throws {
        while true {
            try await Task.sleep(for: timing.stallInterval)
            noteStall()
        }
    }

    private func noteStall() {
        let isStalled = since.map { .now - $0 > timing.stallPatience } ?? false
        guard isStalled != lifecycle.isStalled else { return }
        if isStalled {
            client.logger.warning(
                "the broker takes no outcomes for now: running tasks continue, and no task is started until it does"
            )
        } else {
            client.logger.warning("the broker takes outcomes again")
        }
        lifecycle.setStalled(isStalled)
    }
}

/// What waits to be appended to the results logs, by batch.
///
/// Slots add to it without waiting for the writer.
private final class OutcomeBuffer: Sendable {
    /// What waits for one batch.
    struct Entry {
        private(set) var messages: [Message] = []
        private(set) var deliveries: [TaskDelivery] = []
        private var lines: [UInt8] = []
        private var lineCount = 0

        fileprivate mutating func add(_ line: [UInt8], of delivery: TaskDelivery, to batch: Name) {
            lines += line
            lineCount += 1
            deliveries.append(delivery)
            if lineCount >= ResultMessage.maximumOutcomes || lines.count >= ResultMessage.softSize { seal(batch) }
        }

        fileprivate mutating func add(_ message: Message, first isFirst: Bool) {
            messages.insert(message, at: isFirst ? 0 : messages.count)
        }

        /// Makes a message of the outcomes that are not in one yet.
        fileprivate mutating func seal(_ batch: Name) {
            if lineCount == 0 { return }
            messages.append(ResultMessage.outcomes(batch: batch, lines: lines))
            lines = []
            lineCount = 0
        }
    }

    private let entries = Mutex<[Name: Entry]>([:])

    /// Adds an outcome and the delivery of its task; returns true if nothing waited before.
    func add(_ outcome: Outcome, of delivery: TaskDelivery, to batch: Name) -> Bool {
        // Not under the lock, for which other slots would wait.
        var line: [UInt8] = []
        line.reserveCapacity(512)
        outcome.writeLine(to: &line)
        return entries.withLock { entries in
            defer { entries[batch, default: Entry()].add(line, of: delivery, to: batch) }
            return entries.isEmpty
        }
    }

    /// Adds a message, before or after all others of its batch; returns true if nothing waited before.
    func add(_ message: Message, to batch: Name, first isFirst: Bool = false) -> Bool {
        entries.withLock { entries in
            defer { entries[batch, default: Entry()].add(message, first: isFirst) }
            return entries.isEmpty
        }
    }

    /// How many outcomes wait.
    var count: Int { entries.withLock { $0.values.reduce(0) { $0 + $1.deliveries.count } } }

    /// Whether nothing waits.
    var isEmpty: Bool { entries.withLock { $0.isEmpty } }

    /// Removes and returns everything; nil if there is nothing.
    func take() -> [Name: Entry]? {
        var taken = entries.withLock { entries -> [Name: Entry] in
            defer { entries = [:] }
            return entries
        }
        if taken.isEmpty { return nil }
        for batch in taken.keys { taken[batch]?.seal(batch) }
        return taken
    }
}
