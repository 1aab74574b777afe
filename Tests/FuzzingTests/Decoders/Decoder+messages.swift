import SheafBroker
import SheafCore
import SheafRabbitMQ

@testable import SheafEmbedded

extension Decoder {
    private static let types = [
        "task", "outcomes", "started", "progress", "running", "created", "published", "sealed", "stopped", "cancelled",
        "paused", "resumed", "finished", "mark", "", "limit", "throttled", "asked", "answered", "withdrawn",
        "journal",
    ]
    private static let contentTypes = ["application/json", "text/plain; charset=utf-8", "application/octet-stream", ""]

    /// Headers of any bytes, in which a flow and a batch are named, so that the fuzzer need not find them.
    func checkMessages(_ bytes: [UInt8]) throws {
        var input = FuzzInput(bytes)
        let type = Self.types[Int(input.byte()) % Self.types.count]
        let contentType = Self.contentTypes[Int(input.byte()) % Self.contentTypes.count]
        var headers: [Message.Header] = []
        let block = input.block()
        if let stored = try? HeaderCoding.decode(block) {
            headers = stored
            let again = try HeaderCoding.decode(HeaderCoding.encode(stored))
            try require(again == stored, "headers are read as others")
        }
        headers += [
            .init("sheaf-flow", .string("f")), .init("sheaf-batch", .string("b")), .init("sheaf-index", .integer(1)),
            .init("sheaf-next-offset", .integer(1)),
        ]
        let message = Message(type: type, contentType: contentType, headers: headers, body: Array(input.rest))
        if let task = try? BatchTask(message) {
            try require(try BatchTask(task.message) == task, "a task is read as another")
            var json: [UInt8] = []
            task.record.writeJSON(to: &json)
            _ = try? task.record.json
        }
        try checkJournal(message)
        if let checkpoint = JournalCheckpoint(message) {
            let again = JournalCheckpoint(checkpoint.message)
            try require(again?.history.state == checkpoint.history.state, "a checkpoint is read as another")
            try require(again?.history.count == checkpoint.history.count, "a checkpoint loses entries")
        }
        if let progress = ProgressMessage(message) {
            try require(ProgressMessage(progress.message) == progress, "progress is read as another")
            for batch in progress.batches {
                let counts = BatchCounts(
                    total: batch.total,
                    settled: batch.settled,
                    running: batch.running,
                    isCancelled: false
                )
                try require(counts.total >= counts.settled, "fewer tasks than ended")
                try require(batch.settled.policyFailures <= batch.settled.failed, "more failures than failed tasks")
            }
        }
        if let signal = Heartbeat(message) {
            try require(Heartbeat(signal.message) == signal, "a signal is read as another")
        }
        _ = ResultMessage.startedAt(message)
        if let limit = RateLimitEntry(message) {
            try require(RateLimitEntry(limit.message) == limit, "an entry of a limit is read as another")
        }
        if let question = QuestionEntry(message) {
            try require(QuestionEntry(question.message) == question, "an entry of a question is read as another")
        }
        var dead = message
        dead.type = DeadLetterSighting.messageType
        if let sighting = DeadLetterSighting(dead) {
            try require(DeadLetterSighting(sighting.message) == sighting, "a sighting is read as another")
        }
    }

    /// Whatever a journal says can be summed up and told to people.
    private func checkJournal(_ message: Message) throws {
        guard let entry = JournalEntry(message) else { return }
        try require(JournalEntry(entry.message) == entry, "an entry is read as another")
        var state = JournalState()
        let creation = JournalEntry.Event.created(options: BatchOptions(), source: "", nonce: "")
        state.apply(JournalEntry(batch: entry.batch, flow: entry.flow, at: entry.at, event: creation))
        state.apply(entry)
        let once = state
        var history = JournalHistory()
        history.add(JournalEntry(batch: entry.batch, flow: entry.flow, at: entry.at, event: creation).message)
        history.add(message)
        let checkpoint = JournalCheckpoint(JournalCheckpoint(nextOffset: 2, history: history).message)
        try require(checkpoint?.history.state == once, "a checkpoint says something else than its entries")
        state.apply(entry)
        try require(state == once, "an entry that comes twice changes the state")
        guard let record = state[entry.batch] else { return }
        var results = BatchState()
        if let total = record.sealedTotal {
            results.applySealed(total: total)
        } else {
            results.applyPublished(record.published)
        }
        results.apply(OutcomeSummary(index: 0, status: .failed))
        let progress = BatchProgress(batch: entry.batch, state: results, running: 0, offset: 0)
        for progress in [nil, progress] {
            let summary = BatchSummary(record: record, progress: progress)
            _ = summary.json.text
            if let finished = summary.finishedAt, let started = summary.startedAt { _ = finished - started }
        }
    }
}
