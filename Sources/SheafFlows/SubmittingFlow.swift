package import SheafCore
package import SystemPackage

/// A bulk flow whose jobs are submissions to a provider: it reports how they go, and follows what users decide.
package protocol SubmittingFlow: BulkFlow {
    /// Does what ``BulkFlow/run(_:resuming:remember:ended:)`` does, and reports each step.
    func run(
        _ tasks: [FlowTask],
        resuming memo: BulkMemo?,
        recorder: (any SubmissionRecorder)?,
        remember: @Sendable (BulkMemo) async throws -> Void,
        ended: @Sendable (Int, Result<FlowOutput, FlowError>) async -> Void
    ) async throws

    /// Does what ``BulkFlow/discard(_:)`` does, and reports it.
    func discard(_ memo: BulkMemo, recorder: (any SubmissionRecorder)?) async

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
        try await run(tasks, resuming: memo, recorder: nil, remember: remember, ended: ended)
    }

    package func discard(_ memo: BulkMemo) async { await discard(memo, recorder: nil) }
}

/// Keeps what a flow reports about its submissions, and knows what users decided about them.
///
/// What it keeps is for people: a flow must not depend on it, but on its memo.
package protocol SubmissionRecorder: Sendable {
    /// Records what happened to the submission with a key of ours; returns when it is stored, or cannot be for now.
    func record(_ event: SubmissionEntry.Event, of key: String) async
    /// Returns what is known of a submission, with the newest decisions; nil if nothing is, or it cannot be read now.
    func submission(_ key: String) async -> Submission?
}

extension BulkFlow {
    /// Asks the provider to cancel the job of a memo, and reports it if the flow can.
    package func discard(_ memo: BulkMemo, recordingTo recorder: (any SubmissionRecorder)?) async {
        guard let flow = self as? any SubmittingFlow else { return await discard(memo) }
        await flow.discard(memo, recorder: recorder)
    }

    func run(
        _ tasks: [FlowTask],
        resuming memo: BulkMemo?,
        recordingTo recorder: (any SubmissionRecorder)?,
        remember: @Sendable (BulkMemo) async throws -> Void,
        ended: @Sendable (Int, Result<FlowOutput, FlowError>) async -> Void
    ) async throws {
        guard let flow = self as? any SubmittingFlow else {
            return try await run(tasks, resuming: memo, remember: remember, ended: ended)
        }
        try await flow.run(tasks, resuming: memo, recorder: recorder, remember: remember, ended: ended)
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
