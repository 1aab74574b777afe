import SheafBroker
import SheafCore

/// The tasks that a retry runs again, and the source of their records.
protocol Reopening {
    /// Chooses the tasks; throws if they cannot be run again.
    func choose(_ batch: BatchInfo, _ results: FoldedResults) async throws -> ChosenTasks
    /// Passes the chosen tasks to the publisher; a task whose record is not found stays as it is.
    func provide(
        _ tasks: IndexRanges,
        of batch: BatchInfo,
        generation: Int,
        _ results: FoldedResults,
        to publisher: TaskPublisher
    ) async throws
    /// How many failures the error policy ignores afterwards; `retried` failed tasks run again.
    func tolerated(_ batch: BatchInfo, _ results: FoldedResults, retried: Int) -> Int
}

/// The tasks to run again, and how many are left out.
struct ChosenTasks {
    var tasks = IndexRanges()
    var invalid = 0
    var unaffected = 0
}

/// Opens tasks of a batch again for its next generation.
///
/// Everything is prepared out of sight: a task queue that no worker knows, and `reopened` entries that no reader
/// counts. The journal entry `retried` makes all of it count at once. A retry that is interrupted before has changed
/// nothing, and the next one begins with an empty queue and another nonce.
struct Reopener {
    let client: SheafClient
    /// The place in a trace that the tasks carry.
    let trace: TraceContext?

    /// The most tasks that one `reopened` entry opens, and the most entries that are appended at once.
    private static let tasksInEntry = 10_000
    private static let entriesAtOnce = 20

    func run(_ reference: String, _ reopening: some Reopening) async throws -> RetryReport {
        let journal = try await Journal.read(from: client)
        let id = try journal.find(reference).id
        return try await client.holding(id, journal) { held in
            while true {
                try Task.checkCancellation()
                if let report = try await attempt(held, reopening) { return report }
            }
        }
    }

    /// Returns nil if the batch has changed in the meantime, so that the attempt must be repeated.
    private func attempt(_ held: HeldBatch, _ reopening: some Reopening) async throws -> RetryReport? {
        let info = try held.info()
        try refuse(info)
        let results = try await FoldedResults(of: info, client: client)
        let chosen = try await reopening.choose(info, results)
        let generation = info.generation + 1
        let selection = ReopenedTwins(chosen.tasks, results)
        var (published, opened) = (IndexRanges(), IndexRanges())
        if !selection.isEmpty {
            try await prepare(info, generation)
            published = try await publish(info, generation) { publisher in
                let tasks = selection.published
                try await reopening.provide(tasks, of: info, generation: generation, results, to: publisher)
            }
            opened = selection.opened(publishing: published)
            if opened.isEmpty {
                try await withdraw(info, generation)
            } else {
                let failed = opened.indices.count { results.state.standing(of: $0) == .failed }
                let tolerated = reopening.tolerated(info, results, retried: failed)
                guard try await commit(opened, info, generation, tolerated, held) else {
                    if held.journal[info.id].map({ $0.generation < generation }) != false {
                        try await withdraw(info, generation)
                    }
                    return nil
                }
            }
        }
        let batch = try await client.batch(info.id.text)
        var report = RetryReport(batch: batch, generation: opened.isEmpty ? info.generation : generation)
        report.retried = opened.count
        report.invalid = chosen.invalid
        report.withoutRecord = selection.published.count - published.count
        report.unaffected = chosen.unaffected
        return report
    }

    private func refuse(_ info: BatchInfo) throws {
        if info.cancelled != nil {
            throw SheafError(
                .alreadyFinished,
                "batch '\(info.id)' was cancelled, and a cancelled batch does not run again; create a new one"
            )
        }
        if info.sealedTotal == nil {
            throw SheafError(
                .notNow,
                "batch '\(info.id)' was not published in full, and its creator is gone",
                advice: .resumeCreation(info.id)
            )
        }
    }

    /// Declares the queue of the generation, empty, and its permits, which count only if the batch has ended by then.
    private func prepare(_ info: BatchInfo, _ generation: Int) async throws {
        let declaration = QueueDeclaration.tasks(of: info.id, flow: info.flow, generation: generation, client.names)
        try await retrying(for: .seconds(30)) {
            try await client.broker.declareQueue(.suspects(of: info.flow, client.names))
            try await client.broker.declareQueue(declaration)
            try await client.broker.purgeQueue(declaration.name)
        }
        try await Permits(of: info.id, from: generation, client: client).mintAll(info.permits)
    }

    private func publish(
        _ info: BatchInfo,
        _ generation: Int,
        _ provide: (TaskPublisher) async throws -> Void
    ) async throws -> IndexRanges {
        let queue = client.names.tasks(flow: info.flow, batch: info.id, generation: generation)
        let publisher = TaskPublisher(client: client, queue: queue, trace: trace)
        do {
            try await provide(publisher)
            return try await publisher.finish()
        } catch {
            await publisher.abandon()
            throw error
        }
    }

    /// Makes the retry count; returns false if the journal has not accepted it.
    private func commit(
        _ tasks: IndexRanges,
        _ info: BatchInfo,
        _ generation: Int,
        _ tolerated: Int,
        _ held: HeldBatch
    ) async throws -> Bool {
        let nonce = String(UInt64.random(in: 0...UInt64.max), radix: 36)
        let log = client.names.results(batch: info.id)
        var entries: [Message] = []
        func append() async throws {
            let messages = entries
            entries = []
            try await retrying(for: .seconds(30)) { try await client.broker.append(messages, to: log) }
        }
        for chunk in tasks.chunks(of: Self.tasksInEntry) {
            entries.append(ResultMessage.reopened(batch: info.id, generation: generation, nonce: nonce, tasks: chunk))
            if entries.count == Self.entriesAtOnce { try await append() }
        }
        if !entries.isEmpty { try await append() }
        guard await held.lock.isHeld else {
            throw BrokerError(
                .connectionLost,
                "cannot retry batch '\(info.id)': the connection was lost; nothing has changed, try again"
            )
        }
        try await retrying(for: .seconds(30)) {
            try await held.journal.append(
                .retried(generation: generation, nonce: nonce, count: tasks.count, tolerated: tolerated),
                to: info.id,
                flow: info.flow
            )
        }
        try await held.journal.catchUp()
        guard let after = held.journal[info.id], after.reopenings.contains(where: { $0.nonce == nonce }) else {
            return false
        }
        if info.maxRunning != nil, after.oldestQueue < generation {
            // The batch has not ended, so the permits it had still count.
            try await client.broker.deleteQueue(client.names.permits(batch: info.id, generation: generation))
        }
        return true
    }

    /// Removes the queues of a retry that does not count.
    private func withdraw(_ info: BatchInfo, _ generation: Int) async throws {
        let names = client.names
        try await client.broker.deleteQueue(names.tasks(flow: info.flow, batch: info.id, generation: generation))
        if info.maxRunning != nil {
            try await client.broker.deleteQueue(names.permits(batch: info.id, generation: generation))
        }
    }
}

extension IndexRanges {
    /// Splits the numbers into sets of at most the given size.
    func chunks(of size: Int) -> [IndexRanges] {
        var chunks: [IndexRanges] = []
        var room = 0
        for range in ranges {
            var start = range.lowerBound
            while start < range.upperBound {
                if room == 0 {
                    chunks.append(IndexRanges())
                    room = size
                }
                let end = Swift.min(range.upperBound, start + room)
                for index in start..<end { chunks[chunks.count - 1].append(index) }
                room -= end - start
                start = end
            }
        }
        return chunks
    }
}

/// Runs failed tasks again, with the records that their outcomes carry.
struct FailedTasks: Reopening {
    /// The requested tasks, or nil for all.
    let wanted: IndexRanges?

    func choose(_ batch: BatchInfo, _ results: FoldedResults) async throws -> ChosenTasks {
        let total = batch.sealedTotal ?? 0
        if let last = wanted?.ranges.last?.upperBound, last > total {
            throw SheafError(
                .notFound,
                "batch '\(batch.id)' has no task \(last - 1): its \(total) tasks are numbered from 0 to \(total - 1)"
            )
        }
        var chosen = ChosenTasks()
        for range in wanted?.ranges ?? [0..<total] {
            for index in range {
                switch results.state.standing(of: index) {
                case .failed: chosen.tasks.append(index)
                case .invalid: chosen.invalid += 1
                case .open, .succeeded: if wanted != nil { chosen.unaffected += 1 }
                }
            }
        }
        return chosen
    }

    func provide(
        _ tasks: IndexRanges,
        of batch: BatchInfo,
        generation: Int,
        _ results: FoldedResults,
        to publisher: TaskPublisher
    ) async throws {
        try await results.standingFailures { outcome in
            guard tasks.contains(outcome.index), let task = outcome.task(of: batch, generation: generation) else {
                return
            }
            try await publisher.add(task)
        }
    }

    func tolerated(_ batch: BatchInfo, _ results: FoldedResults, retried: Int) -> Int {
        results.state.settled.policyFailures - retried
    }
}

extension Outcome {
    /// The task of a failed outcome for a later generation, or nil if the outcome does not carry the record.
    func task(of batch: BatchInfo, generation: Int) -> BatchTask? {
        record.map {
            BatchTask(
                flow: batch.flow,
                batch: batch.id,
                index: index,
                generation: generation,
                record: $0,
                parameters: parameters
            )
        }
    }
}

/// Publishes tasks to a queue in windows, at most four of them unconfirmed, so that memory stays bounded.
actor TaskPublisher {
    private let client: SheafClient
    private let queue: String
    private let trace: TraceContext?
    private var window: [Message] = []
    private var bytes = 0
    private var unconfirmed: [Task<Void, any Error>] = []
    private var indices: [Int] = []

    private static let windowCount = 500
    private static let windowBytes = 4 << 20
    private static let windowsUnconfirmed = 4
    /// How long a confirmation may take before publishing fails.
    private static let patience = Duration.seconds(60)

    init(client: SheafClient, queue: String, trace: TraceContext?) {
        self.client = client
        self.queue = queue
        self.trace = trace
    }

    /// How many tasks were added.
    var count: Int { indices.count }

    /// Adds a task; waits if too many windows are unconfirmed.
    func add(_ task: BatchTask) async throws {
        try Task.checkCancellation()
        var task = task
        task.trace = trace
        indices.append(task.index)
        let message = task.message
        window.append(message)
        bytes += message.body.count
        if window.count >= Self.windowCount || bytes >= Self.windowBytes { try await send() }
    }

    /// Returns the published tasks once all are confirmed.
    func finish() async throws -> IndexRanges {
        try await send()
        while !unconfirmed.isEmpty { try await unconfirmed.removeFirst().value }
        return IndexRanges(rising: indices.sorted())
    }

    /// Publishes nothing more, and returns once no window is unconfirmed.
    func abandon() async {
        for task in unconfirmed { task.cancel() }
        for task in unconfirmed { _ = await task.result }
        unconfirmed = []
    }

    private func send() async throws {
        if window.isEmpty { return }
        if unconfirmed.count >= Self.windowsUnconfirmed { try await unconfirmed.removeFirst().value }
        let (client, queue, messages) = (client, queue, window)
        (window, bytes) = ([], 0)
        unconfirmed.append(
            Task { try await retrying(for: Self.patience) { try await client.broker.publish(messages, to: queue) } }
        )
    }
}
