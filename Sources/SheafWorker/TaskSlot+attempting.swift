import Logging
import SheafBatches
import SheafBroker
import SheafCore
import SheafFlows
import Synchronization

extension TaskSlot {
    /// Makes an attempt at a task, and sees to what follows.
    func attempt(_ assignment: Assignment) async throws {
        let beginning = Moment()
        let asker = assignment.record.options.isInteractive ? asker(of: assignment) : nil
        let result: AttemptResult
        do throws(FlowError) {
            let task = try flowTask(of: assignment, asker)
            // Runs on this thread until it first waits: what never does costs no turn of another.
            let attempt = Task.immediate { await assignment.definition.attempt(task) }
            result = await cancellable(attempt, assignment)
        } catch {
            result = .failure(error)
        }
        if isCutOff(result) { return }
        if !result.isSuccess, asker?.wasInterrupted == true {
            return try await leaveUnanswered(assignment.task, assignment.item)
        }
        await asker?.withdraw()
        try await conclude(assignment, result, beginning)
    }

    /// Waits for an attempt, which a cancel of its batch can end, as can one of the caller.
    private func cancellable<Value>(
        _ attempt: Task<Value, Never>,
        _ assignment: Assignment
    ) async -> Value {
        state.setAttempt(of: [assignment.item]) { attempt.cancel() }
        if isCancelledSince([assignment]) { attempt.cancel() }
        return await withTaskCancellationHandler {
            await attempt.value
        } onCancel: {
            attempt.cancel()
        }
    }

    /// Whether the batch of tasks was cancelled while they were let begin, and nobody has seen that they run.
    func isCancelledSince(_ assignments: [Assignment]) -> Bool {
        guard let first = assignments.first, journal.revision != first.revision else { return false }
        return journal.isCancelledNow(first.task.batch)
    }

    /// The task as its flow sees it; throws what is wrong with it.
    func flowTask(of assignment: Assignment, _ asker: TaskAsker?) throws(FlowError) -> FlowTask {
        let task = assignment.task
        let parameters: JSONValue
        do {
            parameters = try task.parameters.map { try JSON.parse($0) } ?? [:]
        } catch {
            throw FlowError(type: "parameters", message: "the task's parameters are not JSON: \(error)")
        }
        if task.record.kind == .json {
            do throws(JSONError) {
                try JSON.validate(task.record.bytes)
            } catch {
                let message = "\(task.record.id): the record says that it is JSON and is not: \(error)"
                throw FlowError(type: Outcome.Failure.invalidRecord, message: message)
            }
        }
        return FlowTask(
            batch: task.batch,
            index: task.index,
            record: task.record,
            parameters: parameters,
            attempt: assignment.attempts,
            asker: asker
        )
    }

    /// Whether an attempt has ended because the worker ends at once; it gives the delivery back.
    func isCutOff(_ result: AttemptResult) -> Bool { Task.isCancelled && !result.isSuccess }

    /// The outcome of an attempt that has just ended.
    private func outcome(
        _ status: Outcome.Status,
        of assignment: Assignment,
        _ beginning: Moment,
        _ end: Timestamp = .now
    ) -> Outcome {
        let task = assignment.task
        return Outcome(
            index: task.index,
            generation: task.generation,
            status: status,
            recordID: task.record.id,
            attempts: assignment.attempts,
            startedAt: beginning.time,
            finishedAt: end,
            worker: worker,
            errors: task.errors
        )
    }

    /// Hands the outcome of a task over that has succeeded.
    func succeed(_ assignment: Assignment, _ output: FlowOutput, _ beginning: Moment, _ end: Timestamp = .now) {
        book.noteAnswer(assignment.definition.rateLimitKey, begun: beginning.instant)
        var outcome = outcome(.succeeded, of: assignment, beginning, end)
        outcome.output = output.json
        outcome.usage = output.usage
        state.noteSuccess()
        writer.submit(outcome, of: assignment.item, batch: assignment.task.batch)
    }

    /// Sees to what follows from the result of an attempt.
    func conclude(_ assignment: Assignment, _ result: AttemptResult, _ beginning: Moment) async throws {
        if isCutOff(result) { return }
        switch result {
        case .success(let output):
            succeed(assignment, output, beginning)
        case .throttled(let throttle):
            try await waitForService(assignment, throttle, begun: beginning.instant)
        case .cancelled:
            var outcome = outcome(.cancelled, of: assignment, beginning)
            outcome.error = Outcome.Failure(type: FlowError.cancelledType, message: "cancelled while it ran")
            writer.submit(outcome, of: assignment.item, batch: assignment.task.batch)
        case .failure(let error):
            book.noteAnswer(assignment.definition.rateLimitKey, begun: beginning.instant)
            try await fail(assignment, error, outcome(.failed, of: assignment, beginning))
        }
    }

    /// Tries a task again whose attempt has failed, or hands its outcome over.
    private func fail(_ assignment: Assignment, _ error: FlowError, _ outcome: Outcome) async throws {
        let (task, item) = (assignment.task, assignment.item)
        let failure = AttemptError(
            attempt: assignment.attempts,
            type: error.type,
            message: error.message,
            at: outcome.finishedAt,
            worker: worker
        )
        if task.attempt <= assignment.definition.retries, assignment.definition.retryRule.allows(error) {
            client.logger.info("task \(task.id) is tried again: \(error)")
            return try await tryAgainLater(task, item, failure, assignment.definition.retryRule)
        }
        var outcome = outcome
        outcome.error = Outcome.Failure(type: error.type, message: error.message)
        outcome.errors = AttemptError.bounded(task.errors + [failure])
        outcome.record = task.record
        outcome.parameters = task.parameters
        try await haltIfDecisive(task, error)
        state.note { $0.failed += 1 }
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
}
