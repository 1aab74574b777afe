import SheafCore
import Synchronization

extension FlowDefinition {
    /// Runs one attempt at each of several tasks in turn and never throws; see ``attempt(_:clock:)`` for a single one.
    ///
    /// The time-out of each begins when the one before it has ended. It ends early where a task fails in a way that ends what it
    /// ran in (a time-out, a crash, a service that wants to be left alone), where the flow wants no more of them at once, and where
    /// the calling task is cancelled: those behind have not begun, and may be asked for again.
    ///
    /// - Parameters:
    ///   - tasks: What to work on.
    ///   - more: Gives tasks that are to follow on those, so many at most; none where none are at hand.
    ///   - ended: Hears the result of each, in their order and as soon as it is there.
    @concurrent
    public func attempt(
        _ tasks: [FlowTask],
        more: @escaping @Sendable (Int) -> [FlowTask] = { _ in [] },
        ended: @escaping @Sendable (AttemptResult) async -> Void
    ) async {
        if let serialFlow {
            let turn = Turn(count: tasks.count)
            let completedMore: @Sendable (Int) -> [FlowTask] = { count in
                let tasks = more(count)
                turn.extend(by: tasks.count)
                return tasks.map(completed)
            }
            if let failure = await perform(tasks.map(completed)[...], with: serialFlow, turn, completedMore, ended) {
                await ended(failure)
            }
        } else {
            for task in tasks where !Task.isCancelled { await ended(await attempt(task)) }
        }
    }

    /// Which of several tasks has its turn, and since when.
    private final class Turn: Sendable {
        private struct State {
            var place = 0
            var since = ContinuousClock.now
            var count: Int
        }

        private let state: Mutex<State>

        init(count: Int) { state = Mutex(State(count: count)) }

        /// The task whose turn it is, and since when.
        var current: (place: Int, since: ContinuousClock.Instant) { state.withLock { ($0.place, $0.since) } }
        /// Whether all have had their turn.
        var isOver: Bool { state.withLock { $0.place >= $0.count } }

        /// Notes that more tasks follow.
        func extend(by count: Int) { state.withLock { $0.count += count } }

        /// Gives the turn to the next; false where there is none that could have ended.
        func pass() -> Bool {
            state.withLock { state in
                if state.place >= state.count { return false }
                state.place += 1
                state.since = .now
                return true
            }
        }
    }

    private enum Step {
        case ended(AttemptResult?)
        case overdue(Int)
    }

    /// Runs the tasks until one fails in a way that ends the run; returns that failure, or nil where all have ended.
    private func perform(
        _ tasks: ArraySlice<FlowTask>,
        with flow: any SerialFlow,
        _ turn: Turn,
        _ more: @escaping @Sendable (Int) -> [FlowTask],
        _ ended: @escaping @Sendable (AttemptResult) async -> Void
    ) async -> AttemptResult? {
        await withTaskGroup(of: Step.self) { group in
            group.addImmediateTask {
                do {
                    try await flow.run(tasks, more: more) { result in
                        if turn.pass() { await ended(AttemptResult(result)) }
                    }
                    return .ended(turn.current.place > 0 ? nil : .failure(Self.silence))
                } catch {
                    return .ended(turn.isOver ? nil : AttemptResult(failure: error))
                }
            }
            if let timeout { group.addTask { await Self.watch(turn, timeout) } }
            let step = await group.next()
            group.cancelAll()
            switch step {
            case .ended(let failure): return failure
            case .overdue(let place):
                guard case .ended(.some(let failure)) = await group.next() else { return nil }
                if Task.isCancelled { return failure }
                // What ended just now has not failed, and the one behind it was cancelled before it could.
                return turn.current.place == place ? overdue : nil
            case nil: return nil
            }
        }
    }

    /// The error of a flow that has told of none of its tasks, which would be handed to it for ever.
    private static let silence = FlowError(type: "no-result", message: "the flow ended without a result for the task")

    /// Returns when the task whose turn it is has had it for too long.
    private static func watch(_ turn: Turn, _ timeout: Duration) async -> Step {
        while true {
            let (place, since) = turn.current
            if Task.isCancelled || since + timeout <= .now { return .overdue(place) }
            try? await Task.sleep(until: since + timeout)
        }
    }
}
