public import SheafCore
import Synchronization

/// A flow that gives many tasks to a provider as one job and reports each result when it is there, perhaps hours later.
///
/// It is meant for the batch APIs of model providers. A run goes through these steps:
///
/// 1. **Announce.** Before it submits a job, the flow calls `remember` with a memo that holds a key of its own choice,
///    and gives the provider the same key (as metadata or as an idempotency key). If the worker dies just after the
///    provider has accepted the job, the job can be found by that key, and is not paid for twice.
/// 2. **Submit.** The flow submits the job, with ``FlowTask/id`` as the name of each request, and calls `remember`
///    again with the provider's id of the job. Each memo replaces the one before.
/// 3. **Report.** The flow waits for the job and calls `ended` for each task as soon as its result is there, in any
///    order. A task with a report is over: its outcome is written, and it is not among the tasks of a later run.
///
/// **Re-attachment.** The worker stores the memo with its lease on the tasks. A worker that takes the tasks over,
/// perhaps on another machine, calls `run` with that memo and all tasks of the job that have no outcome yet, never
/// others, and in any order. The flow then looks for the job instead of submitting one. If the job does not exist, the
/// flow submits the tasks anew. It ignores results of tasks that it was not handed. Tasks without a memo may come again
/// in other jobs, so a flow must not submit a job before it has stored a memo.
///
/// **Cancellation.** If the Swift task is cancelled, the flow must stop waiting soon and throw `CancellationError`, but
/// it must leave the provider's job alone: the worker may only be leaving, and another one re-attaches to the job. If
/// the job itself is no longer wanted (its batch was cancelled, or the time-out has passed), ``discard(_:)`` is called
/// after `run` has returned.
public protocol BulkFlow: Flow {
    /// The most tasks that one job can have; at least 1.
    ///
    /// A worker begins a job with so many tasks of a batch, or with fewer if no more come for half a second. Until all
    /// tasks of the batch are published, it waits for more as ``maximumWait`` says.
    var maximumTasks: Int { get }
    /// How many bytes the records of one job have before it begins without more tasks; no limit by default.
    var maximumBytes: Int { get }
    /// The age of the oldest task with which a job begins although more tasks of the batch may be published; zero, the
    /// default, means that a job does not wait for tasks that are not published yet.
    ///
    /// The age counts from the publishing of the task as the batch's journal has it, whichever worker holds it.
    var maximumWait: Duration { get }
    /// How often the age is looked at; zero, the default, means all the time.
    var waitInterval: Duration { get }

    /// Submits the tasks as one job, or re-attaches to the job of a memo, and reports each result.
    ///
    /// All tasks are of one batch. The time-out of the flow applies to the run as a whole, and begins anew with each
    /// run.
    ///
    /// - Parameters:
    ///   - tasks: What to work on, at most ``maximumTasks``.
    ///   - memo: The last memo of the run that these tasks were in before; nil if they are to be submitted for the
    ///     first time.
    ///   - remember: Stores a memo and returns when it is durable. If it throws, the flow must not submit a job, and
    ///     must rethrow the error.
    ///   - ended: Reports the output or the failure of the task at a position in `tasks`; may be called concurrently.
    ///     Only the first report of each task counts.
    /// - Throws: ``FlowError`` or any other error if the job as a whole fails, which is then the failure of each task
    ///   without a report; ``FlowThrottle`` if the provider asks for a pause before it takes the job, which counts as
    ///   no attempt. If the run returns, each task without a report fails with ``FlowError/noResultType``.
    func run(
        _ tasks: [FlowTask],
        resuming memo: BulkMemo?,
        remember: @Sendable (BulkMemo) async throws -> Void,
        ended: @Sendable (Int, Result<FlowOutput, FlowError>) async -> Void
    ) async throws

    /// Asks the provider to cancel the job of a memo, since its results are no longer wanted.
    ///
    /// No run of these tasks is going on. The job may have ended, or may never have been submitted; both are no error.
    /// Failures are for the flow to log: the job's cost is all that is at stake.
    func discard(_ memo: BulkMemo) async
}

extension BulkFlow {
    /// No limit.
    public var maximumBytes: Int { .max }
    /// Zero.
    public var maximumWait: Duration { .zero }
    /// Zero.
    public var waitInterval: Duration { .zero }

    /// Runs one attempt at a single task, as a job of its own that is discarded if the attempt is cancelled.
    public func run(_ task: FlowTask) async throws -> FlowOutput {
        let memo = Mutex<BulkMemo?>(nil)
        let reported = Mutex<Result<FlowOutput, FlowError>?>(nil)
        do {
            try await run([task], resuming: nil) { latest in
                memo.withLock { $0 = latest }
            } ended: { _, result in
                reported.withLock { $0 = $0 ?? result }
            }
        } catch {
            if Task.isCancelled, let memo = memo.withLock({ $0 }) { await discard(memo) }
            if reported.withLock({ $0 == nil }) { throw error }
        }
        return try reported.withLock { $0 ?? .failure(.withoutResult) }.get()
    }
}

/// What a bulk flow needs to find a provider's job again; opaque to the worker.
///
/// A memo travels in a message with the worker's lease, so it is small, and people with access to the broker can read
/// it: it must hold no credentials.
public struct BulkMemo: Sendable, Equatable {
    /// The most bytes that a memo may have: 4 KiB.
    public static let maximumSize = 4 << 10

    /// The bytes, in a format of the flow's choice.
    public let bytes: [UInt8]

    /// Makes a memo of bytes.
    ///
    /// - Throws: ``FlowError`` of type `memo-too-large` if there are more than ``maximumSize``.
    public init(_ bytes: [UInt8]) throws(FlowError) {
        guard bytes.count <= Self.maximumSize else {
            throw FlowError(
                type: "memo-too-large",
                message: """
                    a memo of \(bytes.count) bytes cannot be stored: at most \(Self.maximumSize) bytes are allowed; store the \
                    job's id, not its tasks
                    """
            )
        }
        self.bytes = bytes
    }

    /// Makes a memo of a JSON value.
    ///
    /// - Throws: ``FlowError`` of type `memo-too-large` if its text has more than ``maximumSize`` bytes.
    public init(_ value: JSONValue) throws(FlowError) {
        var bytes: [UInt8] = []
        value.write(to: &bytes)
        try self.init(bytes)
    }

    /// The bytes as a JSON value; nil if they are not JSON.
    public var json: JSONValue? { try? JSON.parse(bytes) }
}

/// What became of the run of a bulk, besides the results of its tasks.
package struct BulkEnd: Sendable, Equatable {
    /// The positions of the tasks without a result; empty unless the calling task was cancelled, the memo could not be
    /// stored, or the flow returns them.
    package var rest: [Int] = []
    /// Whether the rest returns to its queue: the job is over, or was never submitted.
    package var returnsRest = false

    package init(rest: [Int] = [], returnsRest: Bool = false) {
        self.rest = rest
        self.returnsRest = returnsRest
    }
}

extension FlowDefinition {
    /// Runs one attempt at each task as one job of the bulk flow, or re-attaches to their job, and never throws.
    ///
    /// The default parameters are added to each task. Each task gets exactly one result, except those returned. If the
    /// time-out passes, the job is discarded and each task without a result fails with ``FlowError/timeoutType``.
    ///
    /// If the calling task is cancelled, or `remember` throws (the lease is lost), the job is left alone. The caller
    /// then keeps the memo, so that another worker can re-attach, or passes it to ``BulkFlow/discard(_:)`` if the
    /// results are no longer wanted.
    ///
    /// - Parameters:
    ///   - tasks: What to work on. If the flow is no ``BulkFlow``, each gets a single attempt, one after the other.
    ///   - memo: The memo that the tasks' lease holds; nil if they have none.
    ///   - context: What a flow that submits to a provider needs besides.
    ///   - remember: Stores a memo on the lease and returns when it is durable.
    ///   - ended: Reports the result of the task at a position in `tasks`; may be called concurrently.
    @concurrent
    package func attempt(
        bulk tasks: BulkTasks,
        resuming memo: BulkMemo?,
        context: SubmissionContext = SubmissionContext(),
        remember: @escaping @Sendable (BulkMemo) async throws -> Void,
        ended: @escaping @Sendable (Int, AttemptResult) async -> Void
    ) async -> BulkEnd {
        guard let bulkFlow else {
            for position in 0..<tasks.count {
                let result: AttemptResult
                do throws(FlowError) {
                    let task = try tasks.task(at: position)
                    result = Task.isCancelled ? .cancelled : await attempt(task)
                } catch {
                    result = .failure(error)
                }
                if result == .cancelled { return BulkEnd(rest: Array(position..<tasks.count)) }
                await ended(position, result)
            }
            return BulkEnd()
        }
        let run = BulkAttempt(definition: self, flow: bulkFlow, memo: memo, context: context, count: tasks.count)
        return await run.run(tasks, remember: remember, ended: ended)
    }
}

/// One run of a bulk flow: counts each task's first report only, and gives the rest what the run has ended with.
private final class BulkAttempt: Sendable {
    private struct State {
        var memo: BulkMemo?
        var unreported: Set<Int>
        /// Whether a memo could not be stored: another worker may have the tasks now.
        var isDetached = false
        /// Whether the flow returns the rest to its queue.
        var returnsRest = false
    }

    private let definition: FlowDefinition
    private let flow: any BulkFlow
    private let context: SubmissionContext
    private let state: Mutex<State>

    init(
        definition: FlowDefinition,
        flow: any BulkFlow,
        memo: BulkMemo?,
        context: SubmissionContext,
        count: Int
    ) {
        self.definition = definition
        self.flow = flow
        self.context = context
        self.state = Mutex(State(memo: memo, unreported: Set(0..<count)))
    }

    func run(
        _ tasks: BulkTasks,
        remember: @escaping @Sendable (BulkMemo) async throws -> Void,
        ended: @escaping @Sendable (Int, AttemptResult) async -> Void
    ) async -> BulkEnd {
        let memo = state.withLock { $0.memo }
        let definition = definition
        let tasks = tasks.selecting(Array(0..<tasks.count)) { definition.withDefaults($0) }
        let end = await withTaskGroup(of: AttemptResult?.self) { group in
            group.addTask { [self] in
                do {
                    try await flow.run(tasks, resuming: memo, context) { memo in
                        do {
                            try await remember(memo)
                        } catch {
                            // After a time-out the bulk is still this worker's, and its tasks are overdue.
                            if !Task.isCancelled { state.withLock { $0.isDetached = true } }
                            throw error
                        }
                        state.withLock { $0.memo = memo }
                    } ended: { position, result in
                        if take(position) { await ended(position, AttemptResult(result)) }
                    }
                    return .failure(.withoutResult)
                } catch is BulkRemainder {
                    state.withLock { $0.returnsRest = true }
                    return .failure(.withoutResult)
                } catch {
                    return AttemptResult(failure: error)
                }
            }
            if let timeout = definition.timeout {
                group.addTask {
                    try? await Task.sleep(for: timeout)
                    return nil
                }
            }
            var end = await group.next() ?? nil
            let isOverdue = end == nil && !Task.isCancelled
            group.cancelAll()
            // Whatever the flow still reports before it has stopped counts.
            if end == nil { end = await group.next() ?? nil }
            return isOverdue ? nil : end
        }
        let last = state.withLock { $0 }
        let rest = last.unreported.sorted()
        if last.returnsRest || last.isDetached || Task.isCancelled {
            return BulkEnd(rest: rest, returnsRest: last.returnsRest)
        }
        if end == nil, !rest.isEmpty, let memo = last.memo { await flow.discard(memo, context) }
        for position in rest { await ended(position, end ?? .failure(definition.overdue)) }
        return BulkEnd()
    }

    /// Notes that a task has a result; returns false if it had one before, or if there is no such task.
    private func take(_ position: Int) -> Bool { state.withLock { $0.unreported.remove(position) != nil } }
}
