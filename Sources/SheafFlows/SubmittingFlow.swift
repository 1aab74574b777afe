package import SheafCore
package import SystemPackage

/// A bulk flow whose jobs are submissions to a provider: it loads tasks as it needs them, reports how its submissions
/// go, and follows what users decide.
package protocol SubmittingFlow: BulkFlow {
    /// The age at which a task no longer waits for the provider, but runs by itself; nil if it always waits.
    var liveAge: Duration? { get }
    /// What a task runs as that no longer waits for the provider.
    var liveFlow: any Flow { get }

    /// Does what ``BulkFlow/run(_:resuming:remember:ended:)`` does with tasks that are loaded when they are needed.
    ///
    /// - Throws: ``BulkRemainder`` if the tasks without a result are to return to their queue.
    func run(
        _ tasks: BulkTasks,
        resuming memo: BulkMemo?,
        _ context: SubmissionContext,
        remember: @Sendable (BulkMemo) async throws -> Void,
        ended: @Sendable (Int, Result<FlowOutput, FlowError>) async -> Void
    ) async throws

    /// Does what ``BulkFlow/discard(_:)`` does, and reports it.
    func discard(_ memo: BulkMemo, _ context: SubmissionContext) async

    /// Downloads the requests of a submission that was made by other means: one on each line, with a `custom_id`.
    ///
    /// - Throws: ``FlowError`` if the submission or its requests do not exist, or do not fit this flow.
    func downloadRequests(of id: String, to file: FileDescriptor) async throws
}

extension SubmittingFlow {
    package func run(
        _ tasks: [FlowTask],
        resuming memo: BulkMemo?,
        remember: @Sendable (BulkMemo) async throws -> Void,
        ended: @Sendable (Int, Result<FlowOutput, FlowError>) async -> Void
    ) async throws {
        try await run(BulkTasks(tasks), resuming: memo, SubmissionContext(), remember: remember, ended: ended)
    }

    package func discard(_ memo: BulkMemo) async { await discard(memo, SubmissionContext()) }
}

/// What a run of a bulk has besides its tasks.
package struct SubmissionContext: Sendable {
    /// Keeps what the flow reports; nil if nothing does.
    package var recorder: (any SubmissionRecorder)?
    /// When the tasks without a result run by themselves; nil if they always wait for the provider.
    package var liveAt: ContinuousClock.Instant?

    /// Makes a context.
    package init(recorder: (any SubmissionRecorder)? = nil, liveAt: ContinuousClock.Instant? = nil) {
        self.recorder = recorder
        self.liveAt = liveAt
    }
}

/// Thrown by a submitting flow whose submissions are over: the tasks without a result return to their queue.
package struct BulkRemainder: Error {
    package init() {}
}

/// Keeps what a flow reports about its submissions, and knows what users decided about them.
///
/// What it keeps is for people: a flow must not depend on it, but on its memo.
package protocol SubmissionRecorder: Sendable {
    /// Records what happened to the submission with a key of ours; returns when it is stored, or cannot be for now.
    func record(_ event: SubmissionEntry.Event, of key: String) async
    /// Returns what is known of a submission, with the newest decisions; nil if nothing is, or it cannot be read now.
    func submission(_ key: String) async -> Submission?
    /// Returns about how many tokens the provider has of submissions with the same model, together with those that have
    /// reserved room before the one with a key; nil if that cannot be found out now.
    func tokens(before key: String) async -> Int?
}

extension BulkFlow {
    /// Asks the provider to cancel the job of a memo, and reports it if the flow can.
    package func discard(_ memo: BulkMemo, _ context: SubmissionContext) async {
        guard let flow = self as? any SubmittingFlow else { return await discard(memo) }
        await flow.discard(memo, context)
    }

    func run(
        _ tasks: BulkTasks,
        resuming memo: BulkMemo?,
        _ context: SubmissionContext,
        remember: @Sendable (BulkMemo) async throws -> Void,
        ended: @Sendable (Int, Result<FlowOutput, FlowError>) async -> Void
    ) async throws {
        if let flow = self as? any SubmittingFlow {
            return try await flow.run(tasks, resuming: memo, context, remember: remember, ended: ended)
        }
        var (loaded, positions): ([FlowTask], [Int]) = ([], [])
        for position in 0..<tasks.count {
            do throws(FlowError) {
                loaded.append(try tasks.task(at: position))
                positions.append(position)
            } catch {
                await ended(position, .failure(error))
            }
        }
        if loaded.isEmpty { return }
        let handed = positions
        try await run(loaded, resuming: memo, remember: remember) { place, result in
            if handed.indices.contains(place) { await ended(handed[place], result) }
        }
    }
}

/// A submission that was made by other means and has the request of a task.
package struct AdoptedSubmission: Sendable, Hashable {
    /// The provider's id.
    package var id: String
    /// Whether the task runs again after a failure, so that an error in the submission is not its result once more.
    package var isRetry: Bool

    /// Names a submission.
    package init(id: String, isRetry: Bool) {
        self.id = id
        self.isRetry = isRetry
    }
}
