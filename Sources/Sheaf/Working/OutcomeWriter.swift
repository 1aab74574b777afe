import Logging
import SheafBroker
import SheafCore

/// Writes outcomes to the results logs, and acknowledges tasks whose outcome is confirmed, never before.
///
/// While one append is on its way, outcomes gather for the next; when nothing is on its way, an outcome goes at once.
actor OutcomeWriter {
    private struct Pending {
        var messages: [Message] = []
        var lines: [UInt8] = []
        var lineCount = 0
        var items: [(item: InboxItem, index: Int)] = []

        mutating func seal(_ batch: Name) {
            if lineCount == 0 { return }
            messages.append(ResultMessage.outcomes(batch: batch, lines: lines))
            lines = []
            lineCount = 0
        }
    }

    private let client: SheafClient
    private let state: WorkerState
    private var pending: [Name: Pending] = [:]
    private var isWriting = false
    private let wake = Changes()
    /// Told how many deliveries are about to be settled, each of which lets the broker send another.
    private var beforeSettling: (@Sendable (Int) async throws -> Void)?

    init(client: SheafClient, state: WorkerState) {
        self.client = client
        self.state = state
    }

    /// Has somebody told of each settlement before it happens.
    func beforeSettling(_ call: @escaping @Sendable (Int) async throws -> Void) {
        beforeSettling = call
    }

    /// Takes over an outcome and the delivery of its task.
    func submit(_ outcome: Outcome, of item: InboxItem, batch: Name) {
        var entry = pending.removeValue(forKey: batch) ?? Pending()
        outcome.writeLine(to: &entry.lines)
        entry.lineCount += 1
        if entry.lineCount >= ResultMessage.maximumOutcomes || entry.lines.count >= ResultMessage.softSize {
            entry.seal(batch)
        }
        entry.items.append((item, outcome.index))
        pending[batch] = entry
        wake.notify()
    }

    /// Tells the log that this worker has begun with a batch.
    func submitStart(of batch: Name, worker: String) {
        let message = ResultMessage.started(batch: batch, worker: worker, at: .now)
        pending[batch, default: Pending()].messages.insert(message, at: 0)
        wake.notify()
    }

    /// Writes until cancelled.
    func run() async throws {
        for await _ in wake.stream() { try await flush() }
        try Task.checkCancellation()
    }

    /// Writes all there is, and returns when it is confirmed and acknowledged.
    func flush() async throws {
        // A flush under way takes what has come meanwhile too; nothing overtakes it.
        if isWriting { return }
        isWriting = true
        defer { isWriting = false }
        while !pending.isEmpty {
            let batches = pending
            pending = [:]
            for (batch, entry) in batches {
                do {
                    try await write(entry, of: batch)
                } catch {
                    for (item, _) in entry.items {
                        client.logger.error("outcome of \(item.delivery.message.id) is not written: \(error)")
                    }
                    throw error
                }
            }
        }
    }

    private func write(_ entry: Pending, of batch: Name) async throws {
        var entry = entry
        entry.seal(batch)
        let (client, messages) = (client, entry.messages)
        let log = client.names.results(batch: batch)
        do {
            // Not to be left half done when the worker is told to leave: the flow has run.
            try await withoutCancellation {
                try await retrying { try await client.broker.append(messages, to: log) }
            }
        } catch let error as BrokerError where error.code == .notFound {
            client.logger.error(
                "batch \(batch): its results log was deleted; \(entry.items.count) outcomes are dropped"
            )
        }
        for (_, index) in entry.items { state.end(batch: batch, index: index) }
        try await settle(entry.items.map(\.item), as: .acknowledged)
    }

    /// Ends deliveries and gives their permits back.
    func settle(_ items: [InboxItem], as settlement: Settlement) async throws {
        if items.isEmpty { return }
        try await beforeSettling?(items.count)
        let broker = client.broker
        let permits = items.compactMap(\.permit)
        do {
            try await withoutCancellation {
                // A broker that takes nothing for now has not taken the deliveries back either: it is told later.
                for (deliveries, settlement) in [(items.map(\.delivery), settlement), (permits, .returned)]
                where !deliveries.isEmpty {
                    try await retrying(while: [.blocked, .timedOut]) {
                        try await broker.settle(deliveries, as: settlement)
                    }
                }
            }
        } catch let error as BrokerError where error.isRetryable {
            // The connection is lost, and with it the deliveries: the broker gives them to somebody again.
            client.logger.warning("\(items.count) tasks come again, their end could not be told: \(error)")
        }
        state.release(items)
    }
}
