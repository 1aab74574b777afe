import Logging
import SheafBroker
import SheafCore
import SheafFlows

/// Runs one task after the other: checks that it may run, makes an attempt, and sees to what follows.
struct TaskSlot: Sendable {
    let client: SheafClient
    let worker: String
    let flows: [Name: Boxed<FlowDefinition>]
    let journal: Journal
    let state: WorkerState
    let writer: OutcomeWriter
    let book: LimitBook
    let inbox: TaskInbox
    let prompter: PromptDesk?
    let giveBack: @Sendable ([InboxItem]) async throws -> Void

    func run(_ inbox: TaskInbox) async throws {
        while true {
            // What waits in the inbox stays there while the outcome could not be written.
            await state.waitWhileStalled()
            guard let item = await inbox.next() else { return }
            await state.waitWhileStalled()
            try Task.checkCancellation()
            try await handle(item)
        }
    }

    private func handle(_ item: InboxItem) async throws {
        let assignment: Assignment?
        do {
            assignment = try await read(item)
        } catch let error as UnreadableMessage {
            client.logger.warning(
                "a message in queue \(item.delivery.queue) is not for this flow and goes to the dead letters: \(error)"
            )
            return try await writer.settle([item], as: .rejected)
        }
        guard let assignment, !assignment.isOver else { return try await writer.settle([item], as: .acknowledged) }
        switch state.admit(assignment, isPaused: book.isPaused(assignment.definition.limitKey)) {
        case .begun(let isFirst):
            if isFirst { writer.submitStart(of: assignment.task.batch, worker: worker) }
            try await attempt(assignment)
        case .finished: try await writer.settle([item], as: .acknowledged)
        case .joined: return
        case .refused: try await giveBack([item])
        case .paused: try await putOff(item)
        }
    }

    /// Reads a task and finds its flow and its batch; nil where the batch does not exist any more, throws where it is none for
    /// this worker.
    private func read(_ item: InboxItem) async throws -> Assignment? {
        let task = try BatchTask(item.delivery.message)
        if let batch = item.batch, task.batch != batch {
            throw UnreadableMessage("it is of another batch, '\(task.batch)'")
        }
        guard let definition = flows[task.flow] else {
            throw UnreadableMessage("it is for a flow that this worker does not know, '\(task.flow)'")
        }
        let revision = journal.revision
        guard let record = try await record(of: task) else { return nil }
        let assignment = Assignment(task, item, definition, record, revision: revision)
        // Suspects of many batches share a queue: the journal, not the message, says which flow a batch is for.
        if assignment.record.flow != task.flow {
            throw UnreadableMessage("it is for flow '\(task.flow)', and its batch is for another")
        }
        if let total = assignment.record.sealedTotal, task.index >= total {
            throw UnreadableMessage("its index \(task.index) is beyond the batch's \(total) tasks")
        }
        if !assignment.isOver, task.redo > assignment.record.redo {
            throw UnreadableMessage("it is of generation \(task.redo), which its batch has not come to")
        }
        return assignment
    }

    /// What the journal says of a task's batch; read to its end first where it seems to be behind.
    private func record(of task: BatchTask) async throws -> Boxed<BatchRecord>? {
        let record = journal.boxed(task.batch)
        if record.map({ task.redo <= $0.wrappedValue.redo }) ?? journal.batches.isDeleted(task.batch) { return record }
        try await journal.catchUp()
        return journal.boxed(task.batch)
    }

    private func attempt(_ assignment: Assignment) async throws {
        let (task, item) = (assignment.task, assignment.item)
        let startedAt = Timestamp.now
        let attempts = task.attempt + item.delivery.earlierDeliveries
        let start = ContinuousClock.now
        let asker = assignment.record.options.isInteractive ? asker(of: assignment) : nil
        let result = await cancellable(assignment, attempts, asker)
        if Task.isCancelled, !result.isSuccess { return }  // the worker ends at once; it gives the delivery back
        if !result.isSuccess, asker?.wasInterrupted == true { return try await leaveUnanswered(task, item) }
        await asker?.withdraw()
        var outcome = Outcome(
            index: task.index,
            redo: task.redo,
            status: .succeeded,
            recordID: task.record.id,
            attempts: attempts,
            startedAt: startedAt,
            finishedAt: .now,
            worker: worker,
            errors: task.errors
        )
        switch result {
        case .throttled(let throttle):
            return try await waitForService(assignment, throttle, begun: start)
        case .success(let output):
            book.noteAnswer(assignment.definition.limitKey, begun: start)
            outcome.output = output.json
            outcome.usage = output.usage
            state.noteSuccess()
        case .cancelled:
            outcome.status = .cancelled
            outcome.error = Outcome.Failure(type: FlowError.cancelledType, message: "cancelled while it ran")
        case .failure(let error):
            book.noteAnswer(assignment.definition.limitKey, begun: start)
            let failure = AttemptError(
                attempt: attempts,
                type: error.type,
                message: error.message,
                at: outcome.finishedAt,
                worker: worker
            )
            if task.attempt <= assignment.definition.retries, assignment.definition.retryRule.allows(error) {
                client.logger.info("task \(task.id) is tried again: \(error)")
                return try await tryAgainLater(task, item, failure, assignment.definition.retryRule)
            }
            outcome.status = .failed
            outcome.error = Outcome.Failure(type: error.type, message: error.message)
            outcome.errors = AttemptError.bounded(task.errors + [failure])
            outcome.record = task.record
            outcome.parameters = task.parameters
            try await haltIfDecisive(task, error)
            state.note { $0.failed += 1 }
        }
        writer.submit(outcome, of: item, batch: task.batch)
    }

    /// Halts the batch where its policy wants that; before the outcome, so that nobody sees the failure without its consequence.
    private func haltIfDecisive(_ task: BatchTask, _ error: FlowError) async throws {
        guard let record = journal[task.batch], record.options.errorPolicy == .stop(above: 0),
            error.type != Outcome.Failure.invalidRecord, state.halt(record)
        else { return }
        try await retrying {
            try await journal.append(
                .stopped(reason: "task \(task.index) (\(task.record.id)) failed: \(error)"),
                to: task.batch,
                flow: task.flow
            )
        }
    }

    /// Makes the attempt in a task of its own, which a cancel of the batch can end.
    private func cancellable(
        _ assignment: Assignment,
        _ attempts: Int,
        _ asker: TaskAsker?
    ) async -> AttemptResult {
        let task = assignment.task
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
            attempt: attempts,
            asker: asker
        )
        // Runs on this thread until it first waits: what never does costs no turn of another.
        let attempt = Task.immediate { await assignment.definition.attempt(flowTask) }
        state.setAttempt(of: assignment.item) { attempt.cancel() }
        // A cancel that came just before that has not seen it.
        if journal.revision != assignment.revision, journal.isCancelledNow(task.batch) { attempt.cancel() }
        return await withTaskCancellationHandler {
            await attempt.value
        } onCancel: {
            attempt.cancel()
        }
    }
}
