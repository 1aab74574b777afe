import Logging
import SheafBroker
import SheafCore
import SheafFlows
import Synchronization

extension TaskSlot {
    /// When an attempt began, in the calendar and on the clock.
    private struct Beginning {
        let time = Timestamp.now
        let instant = ContinuousClock.now
    }

    /// Makes an attempt at a task, and sees to what follows.
    func attempt(_ assignment: Assignment) async throws {
        let beginning = Beginning()
        let asker = assignment.record.options.isInteractive ? asker(of: assignment) : nil
        let result: AttemptResult
        do throws(FlowError) {
            let task = try flowTask(of: assignment, asker)
            // Runs on this thread until it first waits: what never does costs no turn of another.
            let attempt = Task.immediate { await assignment.definition.attempt(task) }
            result = await cancellable(attempt, [assignment]) { await attempt.value }
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

    /// Makes an attempt at each of several tasks of one batch, one after the other, and puts those back that do not come to it.
    func attempt(_ group: [Assignment]) async throws {
        var assignments: [Assignment] = []
        var tasks: [FlowTask] = []
        for assignment in group {
            do throws(FlowError) {
                tasks.append(try flowTask(of: assignment, nil))
                assignments.append(assignment)
            } catch {
                try await conclude(assignment, .failure(error), Beginning())
            }
        }
        guard let definition = assignments.first?.definition else { return }
        let turn = Mutex((place: 0, beginning: Beginning()))
        // What takes more than handing an outcome over is seen to here: a cancel of the batch ends only the attempts.
        let (others, continuation) = AsyncStream.makeStream(of: (Int, AttemptResult, Beginning).self)
        let attempts = Task.immediate { [assignments, tasks] in
            await definition.attempt(tasks) { result in
                let (place, beginning) = turn.withLock { $0 }
                if case .success(let output) = result {
                    succeed(assignments[place], output, beginning)
                } else {
                    continuation.yield((place, result, beginning))
                }
                turn.withLock { $0 = (place + 1, Beginning()) }
            }
            continuation.finish()
        }
        do {
            try await cancellable(attempts, assignments) {
                for await (place, result, beginning) in others {
                    try await conclude(assignments[place], result, beginning)
                }
            }
        } catch {
            attempts.cancel()
            await attempts.value
            throw error
        }
        await attempts.value
        // Their batch may have been stopped, paused or cancelled since they were taken.
        if !Task.isCancelled { try await putBack(Array(assignments[turn.withLock { $0.place }...])) }
    }

    /// Waits for attempts, which a cancel of their batch can end, as can one of the caller.
    private func cancellable<Value>(
        _ attempts: Task<some Sendable, Never>,
        _ assignments: [Assignment],
        _ wait: () async throws -> Value
    ) async rethrows -> Value {
        state.setAttempt(of: assignments.map(\.item)) { attempts.cancel() }
        // A cancel that came just before that has not seen it.
        if let first = assignments.first, journal.revision != first.revision, journal.isCancelledNow(first.task.batch) {
            attempts.cancel()
        }
        return try await withTaskCancellationHandler(operation: wait) { attempts.cancel() }
    }

    /// The task as its flow sees it; throws what is wrong with it.
    private func flowTask(of assignment: Assignment, _ asker: TaskAsker?) throws(FlowError) -> FlowTask {
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
    private func isCutOff(_ result: AttemptResult) -> Bool { Task.isCancelled && !result.isSuccess }

    /// The outcome of an attempt that has just ended.
    private func outcome(_ status: Outcome.Status, of assignment: Assignment, _ beginning: Beginning) -> Outcome {
        let task = assignment.task
        return Outcome(
            index: task.index,
            redo: task.redo,
            status: status,
            recordID: task.record.id,
            attempts: assignment.attempts,
            startedAt: beginning.time,
            finishedAt: .now,
            worker: worker,
            errors: task.errors
        )
    }

    /// Hands the outcome of a task over that has succeeded.
    private func succeed(_ assignment: Assignment, _ output: FlowOutput, _ beginning: Beginning) {
        book.noteAnswer(assignment.definition.limitKey, begun: beginning.instant)
        var outcome = outcome(.succeeded, of: assignment, beginning)
        outcome.output = output.json
        outcome.usage = output.usage
        state.noteSuccess()
        writer.submit(outcome, of: assignment.item, batch: assignment.task.batch)
    }

    /// Sees to what follows from the result of an attempt.
    private func conclude(_ assignment: Assignment, _ result: AttemptResult, _ beginning: Beginning) async throws {
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
            book.noteAnswer(assignment.definition.limitKey, begun: beginning.instant)
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
