public import SheafCore
public import SheafSources

// Operations on a batch. Each may be repeated after an interruption, and then completes what was left.
// All throw `SheafError` with `notFound` if the batch does not exist, and `BrokerError`.

extension SheafClient {
    /// Pauses a batch: no more tasks start, and running tasks finish.
    ///
    /// Workers that start later respect the pause too.
    ///
    /// - Throws: ``SheafError`` with `alreadyFinished` if the batch has ended or was cancelled.
    @discardableResult
    public func pause(_ reference: String) async throws -> BatchChange {
        try await Pauser(client: self).pause(reference)
    }

    /// Resumes a batch that was paused, or that its error policy has stopped.
    ///
    /// After a stop the policy counts only failures from now on.
    ///
    /// - Throws: ``SheafError`` with `alreadyFinished` if the batch has ended or was cancelled, and `notNow` if it was
    ///   stopped because the broker lost its tasks.
    @discardableResult
    public func resume(_ reference: String) async throws -> BatchChange {
        try await Pauser(client: self).resume(reference)
    }

    /// Changes how many tasks of a batch may run at once over all workers; nil removes the limit.
    ///
    /// Running tasks continue. Setting the same value again completes a change that was interrupted.
    ///
    /// - Throws: ``SheafError`` with `invalid`, `alreadyFinished`, or `notNow` while tasks of the batch are published.
    @discardableResult
    public func setMaxRunning(_ limit: Int?, of reference: String) async throws -> BatchSummary {
        if let problem = BatchOptions.problem(ofMaxRunning: limit) { throw SheafError(.invalid, problem) }
        return try await MaxRunningChanger(client: self).change(reference, to: limit)
    }

    /// Runs failed tasks of a batch again under the same ids, all of them or those with the given numbers.
    ///
    /// The batch may have ended, be running, or be stopped by its policy; a stop is lifted. If the call throws or is
    /// interrupted, either nothing has changed or everything was done.
    ///
    /// - Parameters:
    ///   - reference: The batch's id, or `last`.
    ///   - tasks: The numbers of the tasks, or nil for all that failed.
    ///   - trace: The place in a trace that the tasks carry.
    /// - Throws: ``SheafError`` with `alreadyFinished` if the batch was cancelled, `notFound` for numbers that it does
    ///   not have, and `notNow` if it was not published in full, or while its tasks are published.
    @discardableResult
    public func retry(
        _ reference: String,
        only tasks: IndexRanges? = nil,
        trace: TraceContext? = nil
    ) async throws -> RetryReport {
        try await Reopener(client: self, trace: trace).run(reference, FailedTasks(wanted: tasks))
    }

    /// Publishes tasks of a batch again that the broker lost.
    ///
    /// Lost are tasks without an outcome that wait in no queue, are not delayed or leased, and run on no worker.
    ///
    /// - Parameters:
    ///   - reference: The batch's id, or `last`.
    ///   - isForced: Whether to publish tasks that may not be lost too; those may run twice, and count once.
    ///   - trace: The place in a trace that the tasks carry.
    ///   - open: Opens the input of the batch from its beginning; called only for tasks that did not fail before.
    /// - Throws: The errors of ``retry(_:only:trace:)``, `notNow` if the tasks may not be lost, and `invalid` if the
    ///   input is a different one.
    @discardableResult
    public func retryMissing<Items: AsyncSequence>(
        _ reference: String,
        isForced: Bool = false,
        trace: TraceContext? = nil,
        from open: @escaping (BatchInfo) async throws -> Items
    ) async throws -> RetryReport where Items.Element == [SourceItem] {
        let missing = MissingTasks(client: self, isForced: isForced, open: open)
        return try await Reopener(client: self, trace: trace).run(reference, missing)
    }

    /// Publishes tasks of a batch again that the broker lost, from its input as the journal records it.
    ///
    /// - Throws: The errors of ``retryMissing(_:isForced:trace:from:)``, and those of reading the input again: `notNow`
    ///   if it was not recorded, was standard input or has too many names, and `SourceError` if it cannot be read on
    ///   this machine or has changed.
    package func retryMissing(
        _ reference: String,
        isForced: Bool,
        trace: TraceContext?
    ) async throws -> RetryReport {
        try await retryMissing(reference, isForced: isForced, trace: trace) { batch in
            try await self.openInput(of: batch, asPublished: true).chunks()
        }
    }

    /// Deletes a batch with its queues and results; its id cannot be used again.
    ///
    /// With `force`, a batch that has not ended is cancelled first, including its running tasks. Deleting a batch again
    /// is not an error.
    ///
    /// - Throws: ``SheafError`` with `notNow` if the batch has not ended.
    @discardableResult
    public func delete(_ reference: String, force: Bool = false) async throws -> DeletedBatch {
        try await Deleter(client: self).delete(reference, force: force)
    }

    /// The batches that ended before a timestamp, oldest first.
    public func batches(endedBefore moment: Timestamp) async throws -> [BatchSummary] {
        let journal = try await Journal.read(from: self)
        return journal.state.batches.filter { $0.ending.map { $0.at < moment } ?? false }
            .map { BatchSummary(info: $0, progress: nil) }
    }
}

extension SheafClient {
    /// The dead letters that were neither requeued nor dismissed, oldest first.
    package func deadLetters() async throws -> [DeadLetter] { try await DeadLetters(client: self).list() }

    /// A dead letter with its message; throws `notFound`.
    package func deadLetter(at offset: Int64) async throws -> (letter: DeadLetter, message: Message) {
        try await DeadLetters(client: self).letter(at: offset)
    }

    /// Requeues a dead letter to its original queue.
    ///
    /// - Throws: ``SheafError`` with `notFound` if the dead letter or its queue does not exist, and `notNow` if its
    ///   task has failed, so that another run would not count; use ``retry(_:only:trace:)`` then.
    @discardableResult
    package func requeueDeadLetter(at offset: Int64) async throws -> RequeuedLetter {
        try await DeadLetters(client: self).requeue(offset)
    }

    /// Requeues all dead letters for which that is possible; the others get a refusal.
    package func requeueDeadLetters() async throws -> [RequeuedLetter] {
        try await DeadLetters(client: self).requeueAll()
    }

    /// Dismisses all dead letters, and returns their number.
    @discardableResult
    package func dismissDeadLetters() async throws -> Int { try await DeadLetters(client: self).dismissAll() }
}
