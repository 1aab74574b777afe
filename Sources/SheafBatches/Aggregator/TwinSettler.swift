import BitCollections
import SheafBroker
import SheafCore

/// Gives each twin of a batch the outcome of the task with the identical record.
///
/// It reads the results log from its start, since no checkpoint has the ids of records. An outcome that it reads when
/// its twins are known is written for them at once. For all others it scans the log again: for those that were there
/// before it began, and for twins that are published after the outcome of their first.
actor TwinSettler {
    private let client: SheafClient
    private let journal: Journal
    private let batch: Name
    private var state = BatchState()
    private var twins = Twins()
    private var ids = TwinIDs()
    private var nextOffset: Int64 = 0
    /// The end of the log when this began; an earlier outcome may have been written for its twins already.
    private var firstEnd: Int64 = .max
    /// The tasks with an outcome that was not written for all of their twins.
    private var due = BitSet()
    /// The number of retries that the state knows.
    private var retries = 0
    private var scannedAt: ContinuousClock.Instant?
    private var scanTime = Duration.zero

    /// How often it checks whether a scan is due.
    private static let interval = Duration.milliseconds(300)
    /// While tasks are published, the log is read again after this many times the duration of the last scan.
    private static let pause = 10
    /// How many bytes of outcomes are appended at once.
    private static let appendSize = 1 << 20

    init(client: SheafClient, journal: Journal, batch: Name) {
        (self.client, self.journal, self.batch) = (client, journal, batch)
    }

    private nonisolated var log: String { client.names.results(batch: batch) }

    /// Follows the log and writes outcomes of twins until cancelled.
    ///
    /// - Throws: `BrokerError`, such as `notFound` if the log was deleted, and `SourceError` if temporary storage fails.
    func run() async throws {
        try await begin()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.follow() }
            group.addTask {
                while true {
                    try await Task.sleep(for: Self.interval)
                    if await self.isScanDue { try await self.scan() }
                }
            }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    /// Writes all outcomes of twins that are due now.
    func finish() async throws {
        try await begin()
        try await client.broker.replay(log, from: .offset(nextOffset)) { try await self.read($0) }
        applyJournal()
        try await scan()
    }

    private func begin() async throws {
        if firstEnd == .max { firstEnd = try await client.broker.endOffset(of: log) ?? 0 }
    }

    private func follow() async throws {
        try await client.broker.follow(log, from: .offset(nextOffset)) { chunk in
            try await self.read(chunk)
            return true
        }
    }

    // MARK: Reading

    private func read(_ chunk: LogChunk) async throws {
        var lines: [FirstOutcome] = []
        for entry in chunk.entries where entry.offset >= nextOffset {
            nextOffset = entry.offset + 1
            lines += try apply(entry)
        }
        nextOffset = max(nextOffset, chunk.nextOffset)
        try await write(lines)
    }

    /// Applies an entry; returns the lines of outcomes that have to be written for twins.
    private func apply(_ entry: LogEntry) throws -> [FirstOutcome] {
        applyJournal()
        guard entry.message.type == ResultMessage.outcomesType else {
            let event = ResultEvent(entry.message)
            state.apply(event, at: entry.offset)
            if case .twins(let list) = event { try add(list) }
            return []
        }
        var lines: [FirstOutcome] = []
        for (summary, range) in ResultMessage.summarizedLines(of: entry.message) {
            guard state.apply(summary), twins.hasTwins(summary.index) else { continue }
            if entry.offset >= firstEnd, isReopened {
                lines.append(FirstOutcome(summary: summary, line: Array(entry.message.body[range])))
            } else {
                due.insert(summary.index)
            }
        }
        return lines
    }

    private func add(_ list: [Twin]) throws {
        for twin in list where twins.add(twin) {
            try ids.add(twin.recordID, of: twin.index)
            if state.isSettled(twin.first) { due.insert(twin.first) }
        }
    }

    private func applyJournal() {
        guard let info = journal[batch] else { return }
        state.apply(info)
        if info.reopenings.count == retries { return }
        retries = info.reopenings.count
        // An outcome of a new generation may have been read before the journal had the retry.
        twins.forEach { twin, first in if isDue(twin, first) { due.insert(first) } }
    }

    /// Whether all tasks of all retries are open; until then, a twin may be open before its first is.
    private var isReopened: Bool { journal[batch].map { state.hasReopened($0.reopenings) } ?? true }

    private func isDue(_ twin: Int, _ first: Int) -> Bool {
        state.isSettled(first) && !state.isSettled(twin) && twin < state.sealedTotal ?? .max
    }

    // MARK: Writing

    private var isScanDue: Bool {
        guard !due.isEmpty, nextOffset >= firstEnd, isReopened else { return false }
        guard let scannedAt else { return true }
        return .now - scannedAt >= scanTime * (journal[batch]?.sealedTotal == nil ? Self.pause : 1)
    }

    /// Reads the log again and writes the outcomes that are due for their twins.
    private func scan() async throws {
        guard isReopened else { return }
        var wanted: [Int: Int] = [:]
        for first in due where twins.twins(of: first).contains(where: { isDue($0, first) }) {
            wanted[first] = state.generation(of: first)
        }
        due = BitSet()
        if wanted.isEmpty { return }
        let (start, end) = (ContinuousClock.now, nextOffset)
        try await client.broker.follow(log, from: .first) { chunk in
            var lines: [FirstOutcome] = []
            for entry in chunk.entries where entry.offset < end {
                for (summary, range) in ResultMessage.summarizedLines(of: entry.message)
                where summary.status != .cancelled && wanted[summary.index] == summary.generation {
                    wanted[summary.index] = nil
                    lines.append(FirstOutcome(summary: summary, line: Array(entry.message.body[range])))
                }
            }
            try await self.write(lines)
            return !wanted.isEmpty && chunk.nextOffset < end
        }
        (scannedAt, scanTime) = (.now, .now - start)
    }

    /// Appends the outcomes of tasks once more for each of their twins that has none.
    private func write(_ lines: [FirstOutcome]) async throws {
        if lines.isEmpty { return }
        do {
            var pending = PendingOutcomes(batch: batch)
            // A retry may have opened the task again since its outcome was read.
            for line in lines where line.summary.generation == state.generation(of: line.summary.index) {
                let first = line.summary.index
                var outcome = line.outcome
                for twin in twins.twins(of: first) where isReopened && isDue(twin, first) {
                    outcome.index = twin
                    outcome.generation = state.generation(of: twin)
                    outcome.recordID = try ids.id(of: twin) ?? String(twin)
                    pending.add(outcome)
                    if pending.size >= Self.appendSize { try await append(pending.take()) }
                }
                if !isReopened { due.insert(first) }
            }
            try await append(pending.take())
        } catch {
            // What follows the log may go on after an error of the broker, without reading this part of it again.
            for line in lines { due.insert(line.summary.index) }
            throw error
        }
    }

    private func append(_ messages: [Message]) async throws {
        if messages.isEmpty || journal.isOver(batch) { return }
        try await client.broker.append(messages, to: log)
    }
}

/// An outcome that counts of a task with twins.
private struct FirstOutcome {
    let summary: OutcomeSummary
    let line: [UInt8]

    /// The outcome for the twins: what it used is counted once, and only the record of the task itself runs again.
    var outcome: Outcome {
        var outcome = (try? Outcome(line: line)) ?? unreadable
        (outcome.usage, outcome.record, outcome.parameters) = (Usage(), nil, nil)
        outcome.sameAs = summary.index
        return outcome
    }

    /// Readers that only count may have counted a line that is not valid JSON.
    private var unreadable: Outcome {
        Outcome(
            index: summary.index,
            status: summary.status,
            recordID: "",
            error: summary.status == .failed ? Outcome.Failure(type: "error", message: "the outcome is invalid") : nil,
            startedAt: .now,
            finishedAt: .now,
            worker: ""
        )
    }
}

/// Gathers lines of outcomes into messages.
private struct PendingOutcomes {
    let batch: Name
    /// The size of all lines, in bytes.
    private(set) var size = 0
    private var messages: [Message] = []
    private var lines: [UInt8] = []
    private var count = 0

    init(batch: Name) { self.batch = batch }

    mutating func add(_ outcome: Outcome) {
        let before = lines.count
        outcome.writeLine(to: &lines)
        size += lines.count - before
        count += 1
        if count >= ResultMessage.maximumOutcomes || lines.count >= ResultMessage.softSize { close() }
    }

    /// Returns the messages and begins anew.
    mutating func take() -> [Message] {
        close()
        defer { (messages, size) = ([], 0) }
        return messages
    }

    private mutating func close() {
        if lines.isEmpty { return }
        messages.append(ResultMessage.outcomes(batch: batch, lines: lines))
        (lines, count) = ([], 0)
    }
}
