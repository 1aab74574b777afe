import SheafBroker
import SheafCore

/// What a retry is for: which tasks run again, and where their records come from.
protocol Reopening {
    /// Chooses the tasks; throws what keeps them from being run again.
    func choose(_ record: BatchInfo, _ results: FoldedResults) async throws -> ChosenTasks
    /// Hands the chosen tasks to the publisher; those whose record it does not find stay as they are.
    func provide(
        _ tasks: IndexRanges,
        of record: BatchInfo,
        generation: Int,
        _ results: FoldedResults,
        to publisher: TaskPublisher
    ) async throws
    /// How many failures the error policy does not look at afterwards.
    func tolerated(_ record: BatchInfo, _ results: FoldedResults, retried: Int) -> Int
}

/// Tasks to run again, and what is left out.
struct ChosenTasks {
    var tasks = IndexRanges()
    var invalid = 0
    var unaffected = 0
}

/// Opens tasks of a batch again for its next generation.
///
/// Everything is prepared where nobody looks: a queue of tasks that no worker knows, `reopened` entries that no reader
/// counts. The journal's `retried` makes all of it count at once. Whoever is interrupted before has changed nothing, and
/// the next one begins with an empty queue and another nonce.
struct Reopener {
    let client: SheafClient

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

    /// Nil where the batch has changed meanwhile in a way that this was not prepared for.
    private func attempt(_ held: HeldBatch, _ reopening: some Reopening) async throws -> RetryReport? {
        let record = try held.record()
        try refuse(record)
        let results = try await FoldedResults(of: record, client: client)
        let chosen = try await reopening.choose(record, results)
        let generation = record.generation + 1
        var opened = IndexRanges()
        if !chosen.tasks.isEmpty {
            try await prepare(record, generation)
            opened = try await publish(record, generation) { publisher in
                try await reopening.provide(chosen.tasks, of: record, generation: generation, results, to: publisher)
            }
            if opened.isEmpty {
                try await withdraw(record, generation)
            } else {
                let tolerated = reopening.tolerated(record, results, retried: opened.count)
                guard try await commit(opened, record, generation, tolerated, held) else {
                    if held.journal[record.id].map({ $0.generation < generation }) != false {
                        try await withdraw(record, generation)
                    }
                    return nil
                }
            }
        }
        let batch = try await client.batch(record.id.text)
        var report = RetryReport(batch: batch, generation: opened.isEmpty ? record.generation : generation)
        report.retried = opened.count
        report.invalid = chosen.invalid
        report.withoutRecord = chosen.tasks.count - opened.count
        report.unaffected = chosen.unaffected
        return report
    }

    private func refuse(_ record: BatchInfo) throws {
        if record.cancelled != nil {
            throw SheafError(
                .alreadyFinished,
                "batch '\(record.id)' was cancelled; a cancelled batch does not run again: create a new one"
            )
        }
        if record.sealedTotal == nil {
            throw SheafError(
                .notNow,
                "batch '\(record.id)' was not published in full, and its creator is gone: "
                    + "'sheaf create --resume \(record.id)' goes on with it"
            )
        }
    }

    /// Makes the generation's queue, empty, and its permits, which count if the batch has ended when this is done.
    private func prepare(_ record: BatchInfo, _ generation: Int) async throws {
        let declaration = QueueDeclaration.tasks(of: record.id, flow: record.flow, generation: generation, client.names)
        try await retrying(for: .seconds(30)) {
            try await client.broker.declareQueue(.suspects(of: record.flow, client.names))
            try await client.broker.declareQueue(declaration)
            try await client.broker.purgeQueue(declaration.name)
        }
        try await Permits(of: record.id, from: generation, client: client).mintAll(record.permits)
    }

    private func publish(
        _ record: BatchInfo,
        _ generation: Int,
        _ provide: (TaskPublisher) async throws -> Void
    ) async throws -> IndexRanges {
        let queue = client.names.tasks(flow: record.flow, batch: record.id, generation: generation)
        let publisher = TaskPublisher(client: client, queue: queue)
        do {
            try await provide(publisher)
            return try await publisher.finish()
        } catch {
            await publisher.abandon()
            throw error
        }
    }

    /// Makes it count; false where the journal has not accepted it.
    private func commit(
        _ tasks: IndexRanges,
        _ record: BatchInfo,
        _ generation: Int,
        _ tolerated: Int,
        _ held: HeldBatch
    ) async throws -> Bool {
        let nonce = String(UInt64.random(in: 0...UInt64.max), radix: 36)
        let log = client.names.results(batch: record.id)
        var entries: [Message] = []
        func append() async throws {
            let messages = entries
            entries = []
            try await retrying(for: .seconds(30)) { try await client.broker.append(messages, to: log) }
        }
        for chunk in tasks.chunks(of: Self.tasksInEntry) {
            entries.append(ResultMessage.reopened(batch: record.id, generation: generation, nonce: nonce, tasks: chunk))
            if entries.count == Self.entriesAtOnce { try await append() }
        }
        if !entries.isEmpty { try await append() }
        guard await held.lock.isHeld else {
            throw BrokerError(
                .connectionLost,
                "the connection was lost before tasks of batch '\(record.id)' ran again; nothing has changed, try again"
            )
        }
        try await retrying(for: .seconds(30)) {
            try await held.journal.append(
                .retried(generation: generation, nonce: nonce, count: tasks.count, tolerated: tolerated),
                to: record.id,
                flow: record.flow
            )
        }
        try await held.journal.catchUp()
        guard let after = held.journal[record.id], after.reopenings.contains(where: { $0.nonce == nonce }) else {
            return false
        }
        if record.maxRunning != nil, after.oldestQueue < generation {
            // The batch has not ended, so the permits it had still count.
            try await client.broker.deleteQueue(client.names.permits(batch: record.id, generation: generation))
        }
        return true
    }

    /// Removes what was prepared and does not count.
    private func withdraw(_ record: BatchInfo, _ generation: Int) async throws {
        let names = client.names
        try await client.broker.deleteQueue(names.tasks(flow: record.flow, batch: record.id, generation: generation))
        if record.maxRunning != nil {
            try await client.broker.deleteQueue(names.permits(batch: record.id, generation: generation))
        }
    }
}

extension IndexRanges {
    /// The numbers in sets of at most that many.
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
