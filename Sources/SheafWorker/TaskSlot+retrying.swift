import Logging
import SheafBatches
import SheafBroker
import SheafCore
import SheafFlows

extension TaskSlot {
    /// Puts the task back with a delay that grows from attempt to attempt; confirmed before this delivery ends.
    func tryAgainLater(_ task: BatchTask, _ item: InboxItem, _ failure: AttemptError, _ rule: RetryRule) async throws {
        var next = task
        next.attempt += 1
        next.errors = AttemptError.bounded(task.errors + [failure])
        let delay = rule.delay(after: task.attempt) * Double.random(in: 0.75...1)
        writer.submitNote(ResultMessage.delayed(next, for: delay), to: task.batch)
        let queue = client.names.tasks(flow: task.flow, batch: task.batch, generation: task.generation)
        do {
            try await publish(next.message, to: queue, after: delay)
        } catch let error as BrokerError {
            // Headers have a limit, and what is told of earlier attempts is not worth the task.
            guard !error.isRetryable else { throw error }
            client.logger.warning("task \(task.id) goes on without the errors of its earlier attempts: \(error)")
            next.errors = []
            try await publish(next.message, to: queue, after: delay)
        }
        state.note { $0.retried += 1 }
        state.end(batch: task.batch, index: task.index)
        try await writer.settleMoved([item])
    }

    private func publish(_ message: Message, to queue: String, after delay: Duration) async throws {
        let broker = client.broker
        try await finishing(within: OutcomeWriter.lastPatience) {
            try await retrying { try await broker.publish(message, to: queue, after: delay) }
        }
    }
}
