import Logging
import SheafBroker
import SheafCore
import SheafFlows

/// Runs one task after the other: checks that it may run, makes an attempt, and sees to what follows.
struct TaskSlot: Sendable {
    let client: SheafClient
    let worker: String
    let flows: [Name: FlowDefinition]
    let journal: Journal
    let state: WorkerState
    let writer: OutcomeWriter
    let giveBack: @Sendable ([InboxItem]) async throws -> Void

    /// The first wait before another attempt, and the longest; each doubles the one before.
    private static let firstDelay = Duration.seconds(1)
    private static let longestDelay = Duration.seconds(300)

    func run(_ inbox: TaskInbox) async throws {
        while let item = await inbox.next() {
            try Task.checkCancellation()
            try await handle(item)
        }
    }

    private func handle(_ item: InboxItem) async throws {
        let task: BatchTask
        let definition: FlowDefinition
        do throws(UnreadableMessage) {
            (task, definition) = try read(item)
        } catch {
            client.logger.warning(
                "a message in queue \(item.delivery.queue) is not for this flow and goes to the dead letters: \(error)"
            )
            try await writer.settle([item], as: .rejected)
            return
        }
        guard let record = journal[task.batch], record.ending == nil, record.cancelled == nil, task.redo == record.redo
        else {
            // The batch is over, or the task is of an older generation: nobody waits for its outcome.
            try await writer.settle([item], as: .acknowledged)
            return
        }
        guard record.isRunnable, !state.isHalted(task.batch) else {
            try await giveBack([item])
            return
        }
        try await attempt(task, item, definition, record)
    }

    private func read(_ item: InboxItem) throws(UnreadableMessage) -> (BatchTask, FlowDefinition) {
        let task = try BatchTask(item.delivery.message)
        if let batch = item.batch, task.batch != batch {
            throw UnreadableMessage("it is of another batch, '\(task.batch)'")
        }
        // Suspects of many batches share a queue: the journal, not the message, says which flow a batch is for.
        if let record = journal[task.batch], record.flow != task.flow {
            throw UnreadableMessage("it is for flow '\(task.flow)', and its batch is for another")
        }
        if let total = journal[task.batch]?.sealedTotal, task.index >= total {
            throw UnreadableMessage("its index \(task.index) is beyond the batch's \(total) tasks")
        }
        guard let definition = flows[task.flow] else {
            throw UnreadableMessage("it is for a flow that this worker does not know, '\(task.flow)'")
        }
        return (task, definition)
    }

    private func attempt(
        _ task: BatchTask,
        _ item: InboxItem,
        _ definition: FlowDefinition,
        _ record: BatchRecord
    ) async throws {
        if state.begin(task) { await writer.submitStart(of: task.batch, worker: worker) }
        let startedAt = Timestamp.now
        let attempts = task.attempt + item.delivery.earlierDeliveries
        let result = await cancellable(task, attempts, definition)
        let finishedAt = Timestamp.now
        if Task.isCancelled, case .failure = result { return }  // the worker ends at once; it gives the delivery back

        func outcome(_ status: Outcome.Status, output: [UInt8]? = nil, error: FlowError? = nil) -> Outcome {
            Outcome(
                index: task.index,
                redo: task.redo,
                status: status,
                recordID: task.record.id,
                output: output,
                error: error.map { Outcome.Failure(type: $0.type, message: $0.message) },
                attempts: attempts,
                startedAt: startedAt,
                finishedAt: finishedAt,
                worker: worker,
                record: status == .failed ? task.record : nil,
                parameters: status == .failed ? task.parameters : nil
            )
        }

        switch result {
        case .success(let output):
            state.note { $0.succeeded += 1 }
            await writer.submit(outcome(.succeeded, output: output.json), of: item, batch: task.batch)
        case .failure(let error) where error.type == FlowError.cancelledType:
            await writer.submit(outcome(.cancelled, error: error), of: item, batch: task.batch)
        case .failure(let error) where error.isRetryable && task.attempt <= definition.retries:
            try await tryAgainLater(task, item, error)
        case .failure(let error):
            let isInvalid = error.type == Outcome.Failure.invalidRecord
            if record.options.errorPolicy == .stop(above: 0), !isInvalid, state.halt(task.batch) {
                // Before the outcome, so that nobody can see the failure without its consequence.
                try await retrying {
                    try await journal.append(
                        .stopped(reason: "task \(task.index) (\(task.record.id)) failed: \(error)"),
                        to: task.batch,
                        flow: task.flow
                    )
                }
            }
            state.note { $0.failed += 1 }
            await writer.submit(outcome(.failed, error: error), of: item, batch: task.batch)
        }
    }

    /// Makes the attempt in a task of its own, which a cancel of the batch can end.
    private func cancellable(
        _ task: BatchTask,
        _ attempts: Int,
        _ definition: FlowDefinition
    ) async -> Result<FlowOutput, FlowError> {
        let parameters: JSONValue
        do {
            parameters = try task.parameters.map { try JSON.parse($0) } ?? [:]
        } catch {
            return .failure(FlowError(type: "parameters", message: "the task's parameters are not JSON: \(error)"))
        }
        if task.record.kind == .json {
            do throws(JSONError) {
                try JSON.validate(task.record.bytes)
            } catch {
                let message = "\(task.record.id): the record says that it is JSON and is not: \(error)"
                return .failure(FlowError(type: Outcome.Failure.invalidRecord, message: message))
            }
        }
        let flowTask = FlowTask(
            batch: task.batch,
            index: task.index,
            record: task.record,
            parameters: parameters,
            attempt: attempts
        )
        let attempt = Task { await definition.attempt(flowTask) }
        state.setAttempt({ attempt.cancel() }, of: task.id)
        defer { state.setAttempt(nil, of: task.id) }
        return await withTaskCancellationHandler {
            await attempt.value
        } onCancel: {
            attempt.cancel()
        }
    }

    /// Puts the task back with a delay that grows from attempt to attempt; confirmed before this delivery ends.
    private func tryAgainLater(_ task: BatchTask, _ item: InboxItem, _ error: FlowError) async throws {
        client.logger.info("task \(task.id) is tried again: \(error)")
        var next = task
        next.attempt += 1
        let doubled = Self.firstDelay * (1 << min(task.attempt - 1, 16))
        let delay = min(doubled, Self.longestDelay) * Double.random(in: 0.75...1)
        let (client, message) = (client, next.message)
        let queue = client.names.tasks(flow: task.flow, batch: task.batch, redo: task.redo)
        try await withoutCancellation {
            try await retrying { try await client.broker.publish(message, to: queue, after: delay) }
        }
        state.note { $0.retried += 1 }
        state.end(batch: task.batch, index: task.index)
        try await writer.settle([item], as: .acknowledged)
    }
}
