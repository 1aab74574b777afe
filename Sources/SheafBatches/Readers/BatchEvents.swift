import SheafBroker
public import SheafCore

/// One thing that the logs record about a batch or about one of its tasks.
public struct BatchEvent: Sendable, Equatable {
    /// A log of a batch.
    public enum Log: String, Sendable {
        /// The journal, which records what happens to batches as a whole.
        case journal
        /// The results log of the batch.
        case results
    }

    /// The log that holds the entry.
    public var log: Log
    /// The offset of the entry in its log.
    public var offset: Int64
    /// When it happened, by the clock of the process that recorded it; nil if the entry and the broker record no time.
    public var at: Timestamp?
    /// What happened: the type of the entry, the status of an outcome, or `attempt-failed`.
    public var what: String
    /// The task, or nil if the event is about the batch as a whole.
    public var index: Int?
    /// The generation of the task or of a retry.
    public var generation: Int?
    /// The attempt, from 1.
    public var attempt: Int?
    /// The worker, or the author of an answer.
    public var worker: String?
    /// Why an attempt or a task failed.
    public var error: Outcome.Failure?
    /// What else there is to know, for people.
    public var detail: String?
    /// Whether an outcome is ignored: another one came first, its generation is over, or the batch had ended.
    public var isIgnored = false

    /// Creates an event.
    package init(
        log: Log,
        offset: Int64,
        at: Timestamp? = nil,
        what: String,
        index: Int? = nil,
        generation: Int? = nil,
        attempt: Int? = nil,
        worker: String? = nil,
        error: Outcome.Failure? = nil,
        detail: String? = nil,
        isIgnored: Bool = false
    ) {
        self.log = log
        self.offset = offset
        self.at = at
        self.what = what
        self.index = index
        self.generation = generation
        self.attempt = attempt
        self.worker = worker
        self.error = error
        self.detail = detail
        self.isIgnored = isIgnored
    }
}

extension SheafClient {
    /// Reads what the logs record about a batch, up to now.
    ///
    /// The events of a whole batch come in the order of its results log, with those of the journal in between by
    /// their time. The events of one task come in the order of their time.
    ///
    /// - Parameters:
    ///   - reference: The id of the batch, or `last` for the newest one.
    ///   - index: The task, or nil for all tasks and the batch itself.
    ///   - body: Receives the events one by one.
    /// - Throws: `notFound` if there is no such batch or it has no such task, and any error of the body.
    public func events(
        of reference: String,
        index: Int? = nil,
        _ body: (BatchEvent) async throws -> Void
    ) async throws {
        let batch = try await Journal.read(from: self).find(reference)
        if let index, let total = batch.sealedTotal, !(0..<total).contains(index) {
            throw SheafError(
                .notFound,
                "batch '\(batch.id)' has no task \(index): its \(total) tasks are numbered from 0 to \(total - 1)"
            )
        }
        let reader = BatchEventReader(client: self, batch: batch, index: index)
        guard index != nil else { return try await reader.events(body) }
        var events: [BatchEvent] = []
        try await reader.events { events.append($0) }
        for event in BatchEventReader.inOrderOfTime(events) { try await body(event) }
    }
}

extension SheafClient {
    /// What the journal records about a batch, in its order, but for the numbers of tasks published so far.
    package func journalEvents(of batch: Name) async throws -> [BatchEvent] {
        let info = try await Journal.read(from: self).find(batch.text)
        return try await BatchEventReader(client: self, batch: info, index: nil).journal()
            .filter { $0.what != "published" }
    }
}

/// Reads the logs of a batch and turns their entries into events.
private struct BatchEventReader {
    let client: SheafClient
    let batch: BatchInfo
    /// The only task of interest; nil means all.
    let index: Int?

    func journal() async throws -> [BatchEvent] {
        var events: [BatchEvent] = []
        try await read(client.names.journal) { entry in
            if let read = journalEntry(entry) { events.append(event(of: read, at: entry.offset)) }
        }
        return events
    }

    func events(_ body: (BatchEvent) async throws -> Void) async throws {
        // A batch begins and ends at an offset of its results log: times of the same millisecond, or of another clock,
        // would say that it ended before its last task.
        var ends: [Int64: Int64] = [:]
        var recorded: [BatchEvent] = []
        try await read(client.names.journal) { entry in
            guard let read = journalEntry(entry) else { return }
            recorded.append(event(of: read, at: entry.offset))
            switch read.event {
            case .created: ends[entry.offset] = 0
            case .finished(_, let end, _, _, _): ends[entry.offset] = end
            default: break
            }
        }
        var waiting = Self.inOrderOfTime(recorded)[...]
        var fold = BatchState()
        fold.apply(batch)
        var leases: [String: TaskLease] = [:]
        try await read(client.names.results(batch: batch.id)) { entry in
            for event in resultEvents(entry, &fold, &leases) where concerns(event) {
                while let next = waiting.first {
                    let isEarlier =
                        if let end = ends[next.offset] {
                            end <= entry.offset
                        } else if let at = next.at, let now = event.at {
                            at <= now
                        } else {
                            false
                        }
                    guard isEarlier else { break }
                    try await body(waiting.removeFirst())
                }
                try await body(event)
            }
        }
        for event in waiting { try await body(event) }
    }

    /// Hands the entries of a log to the body, up to its present end; a log that does not exist has none.
    private func read(_ log: String, _ body: (LogEntry) async throws -> Void) async throws {
        do {
            let end = try await retrying(for: .seconds(15)) { try await client.broker.endOffset(of: log) }
            guard let end else { return }
            try await client.broker.entries(of: log, from: .first, upTo: end, body)
        } catch let error as BrokerError {
            guard error.code == .notFound || error.code == .queueGone else { throw error }
        }
    }

    private func concerns(_ event: BatchEvent) -> Bool { index == nil || event.index == nil || event.index == index }

    private static func tasks(_ count: Int, _ twins: Int = 0) -> String {
        (count == 1 ? "1 task" : "\(count) tasks") + (twins > 0 ? " (\(twins) with an identical record)" : "")
    }

    /// Decodes an entry of the journal; returns nil if it is not about the batch.
    private func journalEntry(_ entry: LogEntry) -> JournalEntry? {
        entry.message.string("sheaf-batch") == batch.id.text ? JournalEntry(entry.message) : nil
    }

    private func event(of read: JournalEntry, at offset: Int64) -> BatchEvent {
        var event = BatchEvent(log: .journal, offset: offset, at: read.at, what: read.event.type)
        switch read.event {
        case .created(_, let source, _, _): event.detail = source.isEmpty ? nil : source
        case .published(let count, _, let twins): event.detail = Self.tasks(count, twins) + " so far"
        case .sealed(let total, let twins): event.detail = Self.tasks(total, twins)
        case .stopped(let reason): event.detail = reason
        case .cancelled(let now): event.detail = now ? "running tasks, too" : nil
        case .resumed(let tolerated): event.detail = tolerated > 0 ? "failures that no longer count: \(tolerated)" : nil
        case .notified(let id): event.detail = id
        case .retried(let generation, _, let count, _):
            event.generation = generation
            event.detail = Self.tasks(count)
        case .changed(let limit): event.detail = "max_running=\(limit.map { "\($0)" } ?? "none")"
        case .finished(let generation, let end, let counts, _, _):
            event.generation = generation
            event.detail =
                "\(counts.succeeded) succeeded, \(counts.failed) failed, \(counts.cancelled) cancelled; "
                + "results up to offset \(end)"
        case .piloted(let result):
            event.detail =
                "\(result.succeeded) of \(Self.tasks(result.tasks)) succeeded, \(result.failed) failed; "
                + (result.isPassed ? "the batch goes on" : "the batch is paused")
        case .paused, .deleted: break
        }
        return event
    }

    private func resultEvents(
        _ entry: LogEntry,
        _ fold: inout BatchState,
        _ leases: inout [String: TaskLease]
    ) -> [BatchEvent] {
        var event = BatchEvent(log: .results, offset: entry.offset, at: entry.time, what: entry.message.type)
        let read = ResultEvent(entry.message)
        defer { if case .outcomes = read {} else { fold.apply(read, at: entry.offset) } }
        switch read {
        case .started(let moment):
            event.at = moment
            event.worker = (try? JSON.parse(entry.message.body))?["worker"]?.stringValue
            event.detail = "the worker runs its first task of the batch"
        case .outcomes:
            return ResultMessage.outcomes(of: entry.message).flatMap { outcome in
                let counts = fold.apply(outcome.summary) && entry.offset < batch.ending?.endOffset ?? .max
                return Self.events(of: outcome, isIgnored: !counts && outcome.status != .cancelled, event)
            }
        case .reopened(let generation, _, let tasks):
            if let index, !tasks.contains(index) { return [] }
            event.generation = generation
            event.index = index
            event.detail = "tasks \(tasks)"
        case .pilot(let tasks):
            if let index, !tasks.contains(index) { return [] }
            event.index = index
            event.detail = "tasks \(tasks)"
        case .twins(let list):
            if index == nil {
                event.detail = "\(Self.tasks(list.count)) with a record that is identical to an earlier one"
                return [event]
            }
            return list.filter { $0.index == index || $0.first == index }.map { twin in
                var event = event
                event.index = index
                event.detail =
                    twin.index == index
                    ? "the record is identical to that of task \(twin.first), which runs for both"
                    : "task \(twin.index) has an identical record and gets the same outcome"
                return event
            }
        case .leased(let lease):
            leases[lease.id] = lease
            (event.index, event.generation, event.worker) = (lease.index, lease.generation, lease.worker)
            event.detail =
                lease.bulk.map { "the task is in bulk \($0)" }
                ?? "the worker keeps the task for longer than the broker waits"
        case .returned(let id):
            guard let lease = leases.removeValue(forKey: id) else { return [] }
            (event.index, event.generation, event.worker) = (lease.index, lease.generation, lease.worker)
            event.detail = "the task is back in its queue"
        case .bulk(let bulk):
            if index != nil { return [] }
            switch bulk.action {
            case .begun: event.detail = "the flow begins with bulk \(bulk.bulk)"
            case .remembered: event.detail = "the flow remembers \(entry.message.body.count) bytes of bulk \(bulk.bulk)"
            case .offered: event.detail = "bulk \(bulk.bulk) is in the queue for the next worker"
            case .adopted(let worker):
                event.worker = worker
                event.detail = "the worker has taken bulk \(bulk.bulk) over"
            }
        case .delayed(let index, let generation, let delay):
            (event.index, event.generation) = (index, generation)
            event.detail = "next attempt in \(delay / .milliseconds(1) / 1000) s"
        case .question(let read):
            (event.index, event.generation, event.at) = (read.id.index, read.id.generation, read.at)
            // An author is followed by a nonce.
            event.worker = String(read.by.prefix { $0 != "#" })
            let number = "question \(read.id.number)"
            switch read.event {
            case .asked(let question): event.detail = "\(number): \(question.text)"
            case .answered(let value): event.detail = "\(number): \(value)"
            case .withdrawn: event.detail = number
            }
        case .checkpoint, .unknown: return []
        }
        return [event]
    }

    /// Returns the failed attempts of a task, and then its outcome.
    private static func events(of outcome: Outcome, isIgnored: Bool, _ entry: BatchEvent) -> [BatchEvent] {
        var last = entry
        last.index = outcome.index
        last.generation = outcome.generation
        last.isIgnored = isIgnored
        // The last error of a failed task is that of the outcome.
        let earlier = outcome.errors.filter { outcome.status == .succeeded || $0.attempt < outcome.attempts }
        let attempts = earlier.map { error in
            var event = last
            event.what = "attempt-failed"
            event.at = error.at
            event.attempt = error.attempt
            event.worker = error.worker
            event.error = Outcome.Failure(type: error.type, message: error.message)
            return event
        }
        last.what = outcome.status.rawValue
        last.at = outcome.finishedAt
        last.attempt = outcome.attempts
        last.worker = outcome.worker
        last.error = outcome.error
        last.detail = outcome.sameAs.map { "the outcome of task \($0)" }
        return attempts + [last]
    }

    /// Sorts events by their time; events of the same time stay in their order.
    ///
    /// The nth `delayed` of a generation follows the nth attempt, whose time may come from another clock. RabbitMQ
    /// reports no time of an entry at all. Any other event without a time follows the one before it.
    static func inOrderOfTime(_ events: [BatchEvent]) -> [BatchEvent] {
        var failures: [AttemptKey: Timestamp] = [:]
        for event in events where event.what == "attempt-failed" {
            if let key = AttemptKey(event, attempt: event.attempt) { failures[key] = event.at }
        }
        var delays: [AttemptKey: Int] = [:]
        var latest = Timestamp(milliseconds: 0)
        let times = events.map { event in
            var at = event.at
            if event.what == ResultMessage.delayedType, let task = AttemptKey(event, attempt: 0) {
                delays[task, default: 0] += 1
                let failure = AttemptKey(event, attempt: delays[task]).flatMap { failures[$0] }
                at = [at, failure].compactMap(\.self).max()
            }
            latest = at ?? latest
            return latest
        }
        let ranks = events.map { $0.what == ResultMessage.delayedType ? 1 : 0 }
        return events.indices.sorted { (times[$0], ranks[$0], $0) < (times[$1], ranks[$1], $1) }.map { events[$0] }
    }

    private struct AttemptKey: Hashable {
        let index: Int
        let generation: Int
        let attempt: Int

        init?(_ event: BatchEvent, attempt: Int?) {
            guard let index = event.index, let generation = event.generation, let attempt else { return nil }
            (self.index, self.generation, self.attempt) = (index, generation, attempt)
        }
    }
}
