import Logging
import OrderedCollections
import SheafBroker
package import SheafCore

/// Which outcomes and ends of batches a tap passes on.
package struct TapFilter: Sendable {
    /// The flow, or nil for any.
    package var flow: Name?
    /// The batch, or nil for any.
    package var batch: Name?
    /// The statuses of the outcomes; if empty, all outcomes, and the ends and stops of batches too.
    package var statuses: Set<Outcome.Status>

    package init(flow: Name? = nil, batch: Name? = nil, statuses: Set<Outcome.Status> = []) {
        self.flow = flow
        self.batch = batch
        self.statuses = statuses
    }

    /// The patterns of the keys of the topic of outcomes.
    fileprivate var keys: [String] {
        let events = statuses.isEmpty ? ["*"] : statuses.map(\.rawValue).sorted()
        return events.map { "\(flow?.text ?? "*").\(batch?.text ?? "*").\($0)" }
    }

    fileprivate func accepts(_ info: BatchInfo) -> Bool {
        (flow == nil || flow == info.flow) && (batch == nil || batch == info.id)
    }

    fileprivate func accepts(_ status: Outcome.Status) -> Bool { statuses.isEmpty || statuses.contains(status) }
}

/// What a tap reports besides its lines.
package enum TapNote: Sendable {
    /// Everything from now on is passed on.
    case ready
    /// Everything from now on is passed on again after a lost connection; outcomes in the meantime may be missing.
    case reconnected
}

extension SheafClient {
    /// How many messages the broker keeps for a tap that reads too slowly.
    private static let tapLimit = 10_000

    /// Passes outcomes and the ends of batches on as they come, each as a JSON object on one line, until cancelled.
    ///
    /// Each line is a row of results, or a batch, with the members `event` (`outcome`, `finished` or `stopped`) and
    /// `flow`. On a broker with topics they are what the aggregator copies. Otherwise, and with `fromStart`, they come
    /// from the results logs of the batches that have not ended.
    ///
    /// - Parameters:
    ///   - filter: What to pass on.
    ///   - fromStart: Whether to pass on what is already in the logs, too.
    ///   - note: Is called when the tap begins, and begins again.
    ///   - body: Gets each line without its line break, one at a time.
    package func tap(
        _ filter: TapFilter,
        fromStart: Bool,
        note: @escaping @Sendable (TapNote) -> Void = { _ in },
        _ body: @escaping @Sendable ([UInt8]) throws -> Void
    ) async throws {
        if !fromStart, let topics = broker as? any TopicBroker {
            try await tap(topics, filter, note, body)
        } else {
            try await LogTap(client: self, filter: filter, body: body).run(fromStart: fromStart, note)
        }
    }

    private func tap(
        _ topics: any TopicBroker,
        _ filter: TapFilter,
        _ note: (TapNote) -> Void,
        _ body: ([UInt8]) throws -> Void
    ) async throws {
        var backoff = Backoff()
        var isFirst = true
        while true {
            do {
                let consumer = try await topics.subscribe(to: names.outcomes, keys: filter.keys, limit: Self.tapLimit)
                note(isFirst ? .ready : .reconnected)
                isFirst = false
                backoff.reset()
                while let deliveries = try await consumer.next() {
                    for delivery in deliveries { if let line = delivery.message.tapLine { try body(line) } }
                    try await broker.settle(deliveries, as: .acknowledged)
                }
                return
            } catch let error as BrokerError where error.isRetryable || error.code == .queueGone {
                try await backoff.pause()
            }
        }
    }
}

extension Message {
    /// The line that a tap prints for a message of the topic of outcomes; nil if it is not one.
    fileprivate var tapLine: [UInt8]? {
        guard let flow = string("sheaf-flow"), let members = (try? JSON.parse(body))?.objectValue else { return nil }
        var all: OrderedDictionary<String, JSONValue> = ["event": .string(type), "flow": .string(flow)]
        all.merge(members) { $1 }
        return JSONValue.object(all).bytes
    }
}

/// Follows the results logs of batches that have not ended.
private actor LogTap {
    private let client: SheafClient
    private let filter: TapFilter
    private let body: @Sendable ([UInt8]) throws -> Void
    /// How far each log was read.
    private var positions: [Name: Int64] = [:]
    /// The batches that are being followed.
    private var active: Set<Name> = []
    /// The generation whose end was passed on, or was there before.
    private var finished: [Name: Int] = [:]
    /// The stops that were passed on, or were there before.
    private var stops: [Name: Int] = [:]

    init(client: SheafClient, filter: TapFilter, body: @escaping @Sendable ([UInt8]) throws -> Void) {
        self.client = client
        self.filter = filter
        self.body = body
    }

    func run(fromStart: Bool, _ note: (TapNote) -> Void) async throws {
        let journal = try await Journal.read(from: client)
        for batch in journal.state.batches where filter.accepts(batch) {
            if batch.stopped != nil, !fromStart { stops[batch.id] = batch.continuations }
            if fromStart, batch.ending == nil || filter.batch != nil { continue }
            if let ending = batch.ending {
                (positions[batch.id], finished[batch.id]) = (ending.endOffset, ending.generation)
            } else {
                positions[batch.id] = try await client.broker.endOffset(of: client.names.results(batch: batch.id))
            }
        }
        note(.ready)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await journal.run() }
            group.addTask { try await self.followBatches(journal) }
            try await group.next()
            group.cancelAll()
        }
    }

    private func followBatches(_ journal: Journal) async throws {
        try await following(journal.changes()) { start in
            for batch in journal.state.batches where filter.accepts(batch) {
                if batch.ending == nil, batch.stopped != nil { try await reportStop(of: batch) }
                guard isLeft(batch), active.insert(batch.id).inserted else { continue }
                start { try await self.follow(batch.id, journal) }
            }
        }
    }

    private func isLeft(_ batch: BatchInfo) -> Bool {
        batch.ending.map { finished[batch.id] != $0.generation } ?? true
    }

    private func reportStop(of batch: BatchInfo) async throws {
        guard filter.statuses.isEmpty, stops.updateValue(batch.continuations, forKey: batch.id) != batch.continuations
        else { return }
        try pass(CopiedMessage.stopped(try await client.batch(batch.id.text)).message)
    }

    private func follow(_ batch: Name, _ journal: Journal) async throws {
        let log = client.names.results(batch: batch)
        do {
            while let info = journal[batch], isLeft(info) {
                try await followUntilOver(batch, log, journal)
                guard let info = journal[batch], let ending = info.ending else { continue }
                let start = LogPosition.offset(positions[batch] ?? 0)
                try await client.broker.entries(of: log, from: start, upTo: ending.endOffset) { entry in
                    try self.pass(entry, of: info)
                }
                positions[batch] = max(positions[batch] ?? 0, ending.endOffset)
                finished[batch] = ending.generation
                if filter.statuses.isEmpty { try pass(CopiedMessage.finished(info).message) }
            }
            active.remove(batch)
        } catch let error as BrokerError where error.code == .notFound || error.code == .queueGone {
            client.logger.debug("batch \(batch): its results log is gone")
        }
    }

    private func followUntilOver(_ batch: Name, _ log: String, _ journal: Journal) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.followLog(log, of: batch, journal) }
            group.addTask {
                for await _ in journal.changes() where journal.isOver(batch) { return }
            }
            try await group.next()
            group.cancelAll()
        }
        try Task.checkCancellation()
    }

    private func followLog(_ log: String, of batch: Name, _ journal: Journal) async throws {
        try await client.broker.follow(log, from: .offset(positions[batch] ?? 0)) { chunk in
            guard let info = journal[batch], info.ending == nil else { return false }
            for entry in chunk.entries { try self.pass(entry, of: info) }
            return true
        }
    }

    private func pass(_ entry: LogEntry, of batch: BatchInfo) throws {
        guard entry.offset >= positions[batch.id] ?? 0 else { return }
        for outcome in ResultMessage.outcomes(of: entry.message) where filter.accepts(outcome.status) {
            try pass(CopiedMessage.outcome(outcome, of: batch).message)
        }
        positions[batch.id] = entry.offset + 1
    }

    private func pass(_ message: Message) throws {
        if let line = message.tapLine { try body(line) }
    }
}
