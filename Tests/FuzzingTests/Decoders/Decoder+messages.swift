import SheafBroker
import SheafCore
import SheafRabbitMQ

@testable import SheafEmbedded

extension Decoder {
    private static let types = [
        "task", "outcomes", "started", "progress", "heartbeat", "created", "published", "sealed", "stopped",
        "cancelled",
        "paused", "resumed", "finished", "mark", "", "limit", "throttled", "asked", "answered", "withdrawn",
        "journal", "retried", "changed", "deleted", "announced", "uploaded", "counted", "unclear", "ended", "refused",
        "lost", "discarded", "rejected", "dropped", "cancel", "resolved",
    ]
    private static let contentTypes = ["application/json", "text/plain; charset=utf-8", "application/octet-stream", ""]

    /// Decodes a message with any header bytes; a flow and a batch are added, so that the fuzzer need not find them.
    func checkMessages(_ bytes: [UInt8]) throws {
        var input = FuzzInput(bytes)
        let type = Self.types[Int(input.byte()) % Self.types.count]
        let contentType = Self.contentTypes[Int(input.byte()) % Self.contentTypes.count]
        var headers: [Message.Header] = []
        let block = input.block()
        if let stored = try? HeaderCoding.decode(block) {
            headers = stored
            let again = try HeaderCoding.decode(HeaderCoding.encode(stored))
            try require(again == stored, "headers are not decoded as they were encoded")
        }
        headers += [
            .init("sheaf-flow", .string("f")), .init("sheaf-batch", .string("b")), .init("sheaf-index", .integer(1)),
            .init("sheaf-next-offset", .integer(1)),
        ]
        let message = Message(type: type, contentType: contentType, headers: headers, body: Array(input.rest))
        if let task = try? BatchTask(message) {
            try require(try BatchTask(task.message) == task, "a task is not decoded as it was encoded")
            var json: [UInt8] = []
            task.record.writeJSON(to: &json)
            _ = try? task.record.json
        }
        try checkJournal(message)
        if let checkpoint = JournalCheckpoint(message) {
            let again = JournalCheckpoint(checkpoint.message)
            try require(
                again?.history.state == checkpoint.history.state,
                "a checkpoint is not decoded as it was encoded"
            )
            try require(again?.history.count == checkpoint.history.count, "a checkpoint loses entries")
        }
        if let progress = ProgressMessage(message) {
            try require(ProgressMessage(progress.message) == progress, "progress is not decoded as it was encoded")
            for batch in progress.batches {
                let counts = BatchCounts(
                    total: batch.total,
                    settled: batch.settled,
                    running: batch.running,
                    isCancelled: false
                )
                try require(counts.total >= counts.settled, "there are fewer tasks than settled tasks")
                try require(
                    batch.settled.policyFailures <= batch.settled.failed,
                    "there are more failures than failed tasks"
                )
            }
        }
        if let heartbeat = Heartbeat(message) {
            try require(Heartbeat(heartbeat.message) == heartbeat, "a heartbeat is not decoded as it was encoded")
        }
        _ = ResultMessage.startedAt(message)
        if let limit = RateLimitEntry(message) {
            try require(RateLimitEntry(limit.message) == limit, "a rate limit entry is not decoded as it was encoded")
        }
        if let question = QuestionEntry(message) {
            try require(
                QuestionEntry(question.message(batch: "b")) == question,
                "a question entry is not decoded as it was encoded"
            )
        }
        if let entry = SubmissionEntry(message) {
            try require(SubmissionEntry(entry.message) == entry, "a submission entry is not decoded as it was encoded")
            var submissions = Submissions()
            submissions.apply(entry)
            try require(submissions.all.allSatisfy { $0.results >= 0 }, "a submission has a negative number of results")
        }
        var dead = message
        dead.type = DeadLetterSighting.messageType
        if let sighting = DeadLetterSighting(dead) {
            try require(DeadLetterSighting(sighting.message) == sighting, "a sighting is not decoded as it was encoded")
        }
    }

    /// Checks that any journal entry can be applied and summed up.
    private func checkJournal(_ message: Message) throws {
        guard let entry = JournalEntry(message) else { return }
        try require(JournalEntry(entry.message) == entry, "an entry is not decoded as it was encoded")
        var state = JournalState()
        let creation = JournalEntry.Event.created(options: BatchOptions(), source: "", nonce: "")
        state.apply(JournalEntry(batch: entry.batch, flow: entry.flow, at: entry.at, event: creation))
        state.apply(entry)
        let once = state
        var history = JournalHistory()
        history.add(JournalEntry(batch: entry.batch, flow: entry.flow, at: entry.at, event: creation).message)
        history.add(message)
        let checkpoint = JournalCheckpoint(JournalCheckpoint(nextOffset: 2, history: history).message)
        try require(checkpoint?.history.state == once, "a checkpoint and its entries lead to different states")
        state.apply(entry)
        try require(state == once, "a repeated entry changes the state")
        guard let info = state[entry.batch] else { return }
        var results = BatchState()
        if let total = info.sealedTotal {
            results.applySealed(total: total)
        } else {
            results.applyPublished(info.published)
        }
        results.apply(OutcomeSummary(index: 0, status: .failed))
        let progress = BatchProgress(batch: entry.batch, state: results, running: 0, offset: 0)
        for progress in [nil, progress] {
            let summary = BatchSummary(info: info, progress: progress)
            _ = summary.json.text
            if let finished = summary.finishedAt, let started = summary.startedAt { _ = finished - started }
        }
    }
}
