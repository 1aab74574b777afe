public import SheafCore
public import SheafSources

// What an operator does to a batch. Each call may be repeated after it was interrupted, and then does what was left.
// All throw `SheafError` with `notFound` for a batch that is not there, and what the broker throws.

extension SheafClient {
    /// Halts a batch for now: no more tasks start, those that run finish; workers that start later see it as well.
    ///
    /// Throws `alreadyFinished` where it has ended or was cancelled.
    @discardableResult
    public func pause(_ reference: String) async throws -> BatchChange {
        try await Pauser(client: self).pause(reference)
    }

    /// Lets a batch go on that was paused, or that its error policy has stopped.
    ///
    /// After a stop the policy counts from the failures there are now. Throws `alreadyFinished` where it has ended or was
    /// cancelled, and `notNow` where it was stopped because the broker lost its tasks.
    @discardableResult
    public func resume(_ reference: String) async throws -> BatchChange {
        try await Pauser(client: self).resume(reference)
    }

    /// Changes how many tasks of a batch may run at once over all workers; nil lifts the limit.
    ///
    /// Tasks that run go on. The same value again mends a change that was interrupted. Throws `alreadyFinished`, and `notNow`
    /// while somebody publishes tasks of the batch.
    @discardableResult
    public func setMaxRunning(_ limit: Int?, of reference: String) async throws -> BatchSummary {
        if let limit, !(1...BatchState.maximumTasks).contains(limit) {
            throw SheafError(
                .invalid,
                "max_running \(limit) is out of range: it must be from 1 to \(BatchState.maximumTasks)"
            )
        }
        return try await MaxRunningChanger(client: self).change(reference, to: limit)
    }

    /// Runs failed tasks of a batch again, all or those of these numbers, under the same ids; the batch goes back to processing.
    ///
    /// Whether it has ended, runs, or was stopped by its policy: that stop is lifted. Nothing has changed where this throws or
    /// is interrupted, except that it may have been done in full just then. Throws `alreadyFinished` where the batch was
    /// cancelled, `invalid` for numbers that it does not have, and `notNow` where it was not published in full, or while somebody
    /// publishes its tasks.
    @discardableResult
    public func retry(_ reference: String, only tasks: IndexRanges? = nil) async throws -> RetryReport {
        try await Reopener(client: self).run(reference, FailedTasks(wanted: tasks))
    }

    /// Publishes tasks of a batch again that the broker lost: those without an outcome that wait nowhere and nobody runs.
    ///
    /// - Parameters:
    ///   - reference: The batch's id, or `last`.
    ///   - isForced: Whether to publish also what may not be lost; what is not then runs twice, and counts once.
    ///   - open: Opens what the batch was made from, to be read in full; asked for tasks that did not fail before.
    ///
    /// Throws as ``retry(_:only:)`` does, `notNow` where the tasks may not be lost, and `invalid` where the input is another one.
    @discardableResult
    public func retryMissing<Items: AsyncSequence>(
        _ reference: String,
        isForced: Bool = false,
        from open: @escaping (BatchInfo) async throws -> Items
    ) async throws -> RetryReport where Items.Element == [SourceItem] {
        let missing = MissingTasks(client: self, isForced: isForced, open: open)
        return try await Reopener(client: self).run(reference, missing)
    }

    /// Removes a batch with its queues, results and all that was known of it; its name is not used again.
    ///
    /// With `force` a batch that has not ended is cancelled first, running tasks included. A batch that was deleted before is no
    /// error. Throws `notNow` where it has not ended.
    @discardableResult
    public func delete(_ reference: String, force: Bool = false) async throws -> DeletedBatch {
        try await Deleter(client: self).delete(reference, force: force)
    }

    /// The batches that ended before a moment, oldest first.
    public func batches(endedBefore moment: Timestamp) async throws -> [BatchSummary] {
        let journal = try await Journal.read(from: self)
        return journal.state.batches.filter { $0.ending.map { $0.at < moment } ?? false }
            .map { BatchSummary(record: $0, progress: nil) }
    }
}

extension SheafClient {
    /// The messages that were given up and that nobody has seen to yet, oldest first.
    public func deadLetters() async throws -> [DeadLetter] { try await DeadLetters(client: self).list() }

    /// A message that was given up, in full; throws `notFound`.
    public func deadLetter(at offset: Int64) async throws -> (letter: DeadLetter, message: Message) {
        try await DeadLetters(client: self).letter(at: offset)
    }

    /// Puts a message that was given up back to the queue it came from.
    ///
    /// Throws `notFound` where there is no such message or its queue is gone, and `notNow` where another run would count for
    /// nothing, because its task has failed: that is what ``retry(_:only:)`` is for.
    @discardableResult
    public func requeueDeadLetter(at offset: Int64) async throws -> RequeuedLetter {
        try await DeadLetters(client: self).requeue(offset)
    }

    /// Puts all messages back that were given up and can go back; the others say why not.
    public func requeueDeadLetters() async throws -> [RequeuedLetter] {
        try await DeadLetters(client: self).requeueAll()
    }

    /// Takes all messages that were given up off the list, and returns how many they were.
    @discardableResult
    public func dismissDeadLetters() async throws -> Int { try await DeadLetters(client: self).dismissAll() }
}
