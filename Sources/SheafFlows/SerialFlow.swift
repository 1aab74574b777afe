import SheafCore
import Synchronization

/// A flow that is faster if it has its next tasks at hand, though it works on one after the other.
///
/// A worker hands such a flow a group of tasks if all of them are likely to be short. Each of them is still an attempt
/// of its own, with its own outcome, time-out and failure.
package protocol SerialFlow: Flow {
    /// How many tasks the flow may be handed at once now so that the last one does not wait noticeably; at least 1.
    var groupSize: Int { get }

    /// Runs one attempt at each task in turn, at least at the first one; tasks without a report count as not begun.
    ///
    /// - Parameters:
    ///   - tasks: What to work on, one after the other.
    ///   - more: Returns at most the given number of tasks to work on after those, which then belong to the group.
    ///     Returns none if none are at hand; the group does not end by that.
    ///   - ended: Reports the output or the failure of each task, in their order and as soon as it is there.
    /// - Throws: The error of the first task without a report.
    func run(
        _ tasks: ArraySlice<FlowTask>,
        more: @Sendable (Int) -> [FlowTask],
        ended: @Sendable (Result<FlowOutput, FlowError>) async -> Void
    ) async throws
}

extension SerialFlow {
    /// Runs one attempt at a single task.
    package func run(_ task: FlowTask) async throws -> FlowOutput {
        let reported = Mutex<Result<FlowOutput, FlowError>?>(nil)
        try await run([task], more: { _ in [] }) { result in reported.withLock { $0 = result } }
        guard let result = reported.withLock({ $0 }) else { throw CancellationError() }
        return try result.get()
    }
}

extension FlowDefinition {
    /// Runs one attempt at each task of a group in turn, and never throws; see ``attempt(_:clock:)`` for a single task.
    ///
    /// The time-out of each task begins when the one before it has ended. The group ends early if
    /// - a task fails in a way that ends what it ran in (a time-out, a crash, a service that asks for a pause),
    /// - the flow wants fewer tasks at once, or
    /// - the calling task is cancelled.
    ///
    /// The tasks without a report have then not begun, and may be attempted again.
    ///
    /// - Parameters:
    ///   - tasks: What to work on.
    ///   - more: Returns at most the given number of tasks that follow on those; none if none are at hand.
    ///   - ended: Reports the result of each task, in their order and as soon as it is there.
    @concurrent
    package func attempt(
        _ tasks: [FlowTask],
        more: @escaping @Sendable (Int) -> [FlowTask] = { _ in [] },
        ended: @escaping @Sendable (AttemptResult) async -> Void
    ) async {
        guard let serialFlow else {
            for task in tasks where !Task.isCancelled { await ended(await attempt(task)) }
            return
        }
        let group = GroupAttempt(definition: self, flow: serialFlow, count: tasks.count)
        if let failure = await group.run(tasks, more: more, ended: ended) { await ended(failure) }
    }
}

/// One run of a serial flow over a group of tasks, with the time-out of the task whose turn it is.
private final class GroupAttempt: Sendable {
    /// Which task of the group has its turn.
    private struct Turn {
        var position = 0
        var beginning = ContinuousClock.now
        /// How many tasks the group has.
        var count: Int

        var isOver: Bool { position >= count }
    }

    private enum Event {
        /// The flow has ended; with the result of the task whose turn it is, if that was not reported.
        case flowEnded(AttemptResult?)
        /// The task at that position has had its turn for too long.
        case overdue(position: Int)
    }

    private let definition: FlowDefinition
    private let flow: any SerialFlow
    private let turn: Mutex<Turn>

    init(definition: FlowDefinition, flow: any SerialFlow, count: Int) {
        self.definition = definition
        self.flow = flow
        self.turn = Mutex(Turn(count: count))
    }

    /// Runs the tasks until one fails in a way that ends the group; returns that failure, or nil if all have ended.
    func run(
        _ tasks: [FlowTask],
        more: @escaping @Sendable (Int) -> [FlowTask],
        ended: @escaping @Sendable (AttemptResult) async -> Void
    ) async -> AttemptResult? {
        await withTaskGroup(of: Event.self) { group in
            group.addImmediateTask { .flowEnded(await self.runFlow(tasks, more, ended)) }
            if let timeout = definition.timeout { group.addTask { await self.watch(timeout) } }
            let event = await group.next()
            group.cancelAll()
            switch event {
            case .flowEnded(let failure): return failure
            case .overdue(let position):
                guard case .flowEnded(.some(let failure)) = await group.next() else { return nil }
                if Task.isCancelled { return failure }
                // The overdue task may have ended just now; then the next one was cancelled before it could fail.
                return turn.withLock({ $0.position }) == position ? .failure(definition.overdue) : nil
            case nil: return nil
            }
        }
    }

    private func runFlow(
        _ tasks: [FlowTask],
        _ more: @Sendable (Int) -> [FlowTask],
        _ ended: @Sendable (AttemptResult) async -> Void
    ) async -> AttemptResult? {
        do {
            try await flow.run(tasks.map(definition.withDefaults)[...]) { count in
                let tasks = more(count)
                turn.withLock { $0.count += tasks.count }
                return tasks.map(definition.withDefaults)
            } ended: { result in
                if passTurn() { await ended(AttemptResult(result)) }
            }
            if turn.withLock({ $0.position > 0 }) { return nil }
            // Without a failure the task would be handed to the flow indefinitely.
            return .failure(.withoutResult)
        } catch {
            return turn.withLock { $0.isOver } ? nil : AttemptResult(failure: error)
        }
    }

    /// Gives the turn to the next task; returns false if all have had theirs.
    private func passTurn() -> Bool {
        turn.withLock { turn in
            if turn.isOver { return false }
            turn.position += 1
            turn.beginning = .now
            return true
        }
    }

    /// Returns when the task whose turn it is has had it for too long.
    private func watch(_ timeout: Duration) async -> Event {
        while true {
            let turn = turn.withLock { $0 }
            let deadline = turn.beginning + timeout
            if Task.isCancelled || deadline <= .now { return .overdue(position: turn.position) }
            try? await Task.sleep(until: deadline)
        }
    }
}

extension FlowError {
    /// The error of a task whose flow ended without a result for it.
    package static let withoutResult = FlowError(
        type: noResultType,
        message: "the flow ended without a result for the task"
    )
}
