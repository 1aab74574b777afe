import SheafBroker
import SheafCore

extension Aggregator {
    /// Turns tasks that were given up into failed outcomes; what nobody can read stays in the dead letters.
    ///
    /// Says in their log when they were seen, where the broker does not tell: people want to know.
    func followDead() async throws {
        let log = client.names.dead
        let end = try await client.broker.endOffset(of: log) ?? 0
        var (newest, seen): (Int64, Int64) = (-1, -1)
        try await client.broker.follow(log, from: .first) { chunk in
            for entry in chunk.entries {
                try await self.bury(entry.message)
                if let sighting = DeadLetterSighting(entry.message) {
                    seen = max(seen, sighting.last)
                } else if entry.time == nil, Dismissal(entry.message) == nil {
                    newest = max(newest, entry.offset)
                }
            }
            // What was there before may have been seen by another, who says so further on.
            guard newest > seen, chunk.nextOffset >= end else { return true }
            try await self.client.broker.append(DeadLetterSighting(last: newest, at: .now).message, to: log)
            seen = newest
            return true
        }
    }

    private func bury(_ message: Message) async throws {
        guard message.string("x-first-death-reason") == "delivery_limit", let task = try? BatchTask(message),
            let record = journal[task.batch], record.ending == nil, record.generations.contains(task.generation)
        else { return }
        if let state = folds[task.batch]?.state,
            state.isSettled(task.index) || state.generation(of: task.index) > task.generation
        {
            return
        }
        try await giveUp(task, attempts: task.attempt - 1 + QueueDeclaration.deliveriesBeforeDeath)
    }

    /// Ends a task that takes its workers down.
    func giveUp(_ task: BatchTask, attempts: Int) async throws {
        let now = Timestamp.now
        let outcome = Outcome(
            index: task.index,
            generation: task.generation,
            status: .failed,
            recordID: task.record.id,
            error: Outcome.Failure(
                type: Outcome.Failure.workerLost,
                message: "every worker that took this task was lost before it could say how the task ended"
            ),
            attempts: attempts,
            startedAt: now,
            finishedAt: now,
            worker: "",
            record: task.record,
            parameters: task.parameters,
            errors: task.errors
        )
        var line: [UInt8] = []
        outcome.writeLine(to: &line)
        try await client.broker.append(
            ResultMessage.outcomes(batch: task.batch, lines: line),
            to: client.names.results(batch: task.batch)
        )
    }
}
