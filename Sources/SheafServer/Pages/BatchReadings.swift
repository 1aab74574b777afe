import SheafBatches
import SheafBroker
import SheafCore
import Synchronization

/// What a page of a batch shows beside its counts: groups of errors and a sample of results.
///
/// Both read the results log. The first look at a large batch takes seconds, so a page does not wait for it.
final class BatchReadings: Sendable {
    /// What is known of one batch.
    private struct Reading {
        var groups: [ErrorGroup]?
        var samples: [Outcome] = []
        var isRunning = false
        var usedAt = ContinuousClock.now
    }

    private let client: SheafClient
    private let tasks: TaskDirectory
    private let readings = Mutex<[Name: Reading]>([:])
    /// How many pages of a batch wait for its tasks.
    private let waiting = Mutex<[Name: Int]>([:])

    /// The number of groups that a page shows.
    static let maximumGroups = 20
    private static let patience = Duration.milliseconds(120)
    /// How long a page of tasks waits, which shows nothing else.
    private static let longPatience = Duration.seconds(1)
    private static let maximumWaiting = 8
    private static let sampleEntries: Int64 = 6
    private static let maximumSamples = 6
    private static let maximumBatches = 16

    init(client: SheafClient, tasks: TaskDirectory) {
        self.client = client
        self.tasks = tasks
    }

    /// Returns the groups of errors, largest first, and some outcomes from the end of the results log, newest first.
    ///
    /// What is not read in time is as it was before; groups that were never read are nil.
    func reading(of batch: BatchSummary) async -> (groups: [ErrorGroup]?, samples: [Outcome]) {
        let id = batch.info.id
        guard batch.counts.settled > 0 else { return ([], []) }
        let isIdle = readings.withLock { readings in
            var reading = readings[id] ?? Reading()
            let isIdle = !reading.isRunning
            (reading.isRunning, reading.usedAt) = (true, .now)
            readings[id] = reading
            while readings.count > Self.maximumBatches,
                let oldest = readings.min(by: { $0.value.usedAt < $1.value.usedAt })
            {
                readings[oldest.key] = nil
            }
            return isIdle
        }
        if isIdle { Task { await read(batch) } }
        // The reading goes on if it takes longer; the next page has its result.
        let deadline = ContinuousClock.now + Self.patience
        while ContinuousClock.now < deadline, readings.withLock({ $0[id]?.isRunning == true }) {
            try? await Task.sleep(for: .milliseconds(5))
        }
        let reading = readings.withLock { $0[id] } ?? Reading()
        return (batch.counts.failed > 0 ? reading.groups : [], reading.samples)
    }

    /// Returns what the work reads about the tasks of a batch, or nil if that takes longer than a page may wait.
    ///
    /// The work goes on then, so that a later page has its result sooner.
    func soon<Result: Sendable>(
        _ batch: Name,
        _ work: @escaping @Sendable () async throws -> Result
    ) async throws -> Result? {
        let isFull = waiting.withLock { waiting in
            if waiting[batch, default: 0] >= Self.maximumWaiting { return true }
            waiting[batch, default: 0] += 1
            return false
        }
        if isFull { return nil }
        let (results, continuation) = AsyncThrowingStream<Result?, any Error>.makeStream()
        Task {
            do {
                continuation.yield(try await work())
            } catch {
                continuation.finish(throwing: error)
            }
            waiting.withLock { waiting in
                let rest = waiting[batch, default: 1] - 1
                waiting[batch] = rest > 0 ? rest : nil
            }
        }
        let timer = Task {
            try await Task.sleep(for: Self.longPatience)
            continuation.yield(nil)
        }
        defer { timer.cancel() }
        for try await result in results { return result }
        return nil
    }

    private func read(_ batch: BatchSummary) async {
        let id = batch.info.id
        let samples = try? await latestOutcomes(of: id)
        readings.withLock { $0[id]?.samples = samples ?? [] }
        let groups = batch.counts.failed > 0 ? try? await tasks.errorGroups(of: id.text) : nil
        readings.withLock { readings in
            if let groups { readings[id]?.groups = groups }
            readings[id]?.isRunning = false
        }
    }

    private func latestOutcomes(of batch: Name) async throws -> [Outcome] {
        let log = client.names.results(batch: batch)
        guard let end = try await client.broker.endOffset(of: log) else { return [] }
        var outcomes: [Outcome] = []
        let start = LogPosition.offset(max(0, end - Self.sampleEntries))
        try await client.broker.entries(of: log, from: start, upTo: end) { entry in
            outcomes += ResultMessage.outcomes(of: entry.message).suffix(Self.maximumSamples)
        }
        return outcomes.filter { $0.status != .cancelled }.suffix(Self.maximumSamples).reversed()
    }
}

extension BatchView.Group {
    init(_ group: ErrorGroup, of batch: BatchSummary, base: String, mayWrite: Bool) {
        let href = "\(base)/batches/\(batch.info.id)/tasks"
        self.init(
            key: group.id,
            type: group.type ?? "other errors",
            message: Figures.cut(group.example, to: 200),
            count: Figures.number(group.count),
            firstID: Figures.number(group.first),
            firstHref: "\(href)/\(group.first)",
            tasksHref: "\(href)?status=failed&group=\(group.id)",
            retry: mayWrite && batch.info.cancelled == nil && group.type != Outcome.Failure.invalidRecord
                ? BatchHead.retry(
                    batch,
                    type: group.type,
                    group: group.id,
                    count: group.count,
                    api: "\(base)/api/batches/\(batch.info.id)"
                ) : nil
        )
    }
}

extension BatchView.Sample {
    init(_ outcome: Outcome, of batch: BatchSummary, base: String) {
        let output = outcome.output.map { String(decoding: $0.prefix(400), as: UTF8.self) } ?? ""
        let text = outcome.error.map { "\($0.type): \($0.message)" } ?? output
        self.init(
            key: "\(outcome.generation)-\(outcome.index)",
            id: Figures.cut(outcome.recordID, to: 80),
            href: "\(base)/batches/\(batch.info.id)/tasks/\(outcome.index)",
            status: StatusLook(word: outcome.status.rawValue),
            text: Figures.cut(text, to: 90),
            took: Figures.duration(outcome.finishedAt - outcome.startedAt)
        )
    }
}
