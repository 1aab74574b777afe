package import Sheaf
import SheafBroker
package import SheafCore
import Testing

extension SheafClient {
    /// Takes tasks from a generation's queue, writes their outcomes as a worker does, and returns their numbers.
    @discardableResult
    package func runByHand(
        _ batch: CreatedBatch,
        generation: Int = 0,
        atMost limit: Int = .max,
        _ ending: (BatchTask) -> Outcome.Status = { _ in .succeeded }
    ) async throws -> [Int] {
        var indices: [Int] = []
        let queue = names.tasks(flow: batch.flow, batch: batch.id, generation: generation)
        while indices.count < limit, let delivery = try await broker.get(queue) {
            let task = try BatchTask(delivery.message)
            #expect(task.generation == generation && task.batch == batch.id && task.attempt == 1)
            try await note(ending(task), of: task)
            try await broker.settle(delivery, as: .acknowledged)
            indices.append(task.index)
        }
        return indices.sorted()
    }

    /// Publishes foreign messages to the queue of a batch, and rejects them until they are dead letters.
    ///
    /// - Returns: How many of the batch's own tasks were in the way; they stay with this client.
    @discardableResult
    package func bury(_ junk: [Message], in batch: CreatedBatch) async throws -> Int {
        let queue = names.tasks(flow: batch.flow, batch: batch.id, generation: 0)
        for message in junk { try await broker.publish(message, to: queue) }
        var kept = 0
        for place in [queue, names.suspects(flow: batch.flow)] {
            var refused = 0
            try await until("\(junk.count) messages are refused in \(place)") {
                guard let delivery = try await broker.get(place) else { return false }
                if junk.contains(where: { $0.type == delivery.message.type }) {
                    try await broker.settle(delivery, as: .rejected)
                    refused += 1
                } else {
                    kept += 1
                }
                return refused == junk.count
            }
        }
        return kept
    }

    /// Writes the outcome of a task, at a time by the clock of its worker.
    package func note(_ status: Outcome.Status, of task: BatchTask, at time: Timestamp = .now) async throws {
        let outcome = Outcome(
            index: task.index,
            generation: task.generation,
            status: status,
            recordID: task.record.id,
            output: status == .succeeded ? Array("1".utf8) : nil,
            error: status == .failed ? Outcome.Failure(type: "broken", message: "on purpose") : nil,
            startedAt: time,
            finishedAt: time,
            worker: "hand",
            record: status == .failed ? task.record : nil,
            parameters: status == .failed ? task.parameters : nil
        )
        var line: [UInt8] = []
        outcome.writeLine(to: &line)
        try await broker.append(
            ResultMessage.outcomes(batch: task.batch, lines: line),
            to: names.results(batch: task.batch)
        )
    }

    /// How many messages wait in the queue of a generation, or nil if the queue does not exist.
    package func waiting(_ batch: CreatedBatch, generation: Int) async throws -> Int? {
        try await broker.queueStatus(names.tasks(flow: batch.flow, batch: batch.id, generation: generation))?.ready
    }

    /// Takes all permits from a batch's queue and returns those that still count.
    package func validPermits(of record: BatchInfo) async throws -> [Permit] {
        var permits: [Permit] = []
        let queue = names.permits(batch: record.id, generation: record.oldestQueue)
        while let delivery = try await broker.get(queue) {
            if let permit = Permit(delivery.message), record.permits.isValid(permit) { permits.append(permit) }
            try await broker.settle(delivery, as: .acknowledged)
        }
        return permits
    }
}
