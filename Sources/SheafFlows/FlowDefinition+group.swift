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
    ///   - ended: Hears the result of each, in their order and as soon as it is there.
    @concurrent
    public func attempt(_ tasks: [FlowTask], ended: @escaping @Sendable (AttemptResult) async -> Void) async {
        if let serialFlow {
            let turn = Turn(count: tasks.count)
            if let failure = await perform(tasks.map(completed)[...], with: serialFlow, turn, ended) {
                await ended(failure)
            }
        } else {
            for task in tasks where !Task.isCancelled { await ended(await attempt(task)) }
        }
    }

    /// Which of several tasks has its turn, and since when.
    private final class Turn: Sendable {
        private let count: Int
        private let state = Mutex((place: 0, since: ContinuousClock.now))

        init(count: Int) { self.count = count }

        /// The task whose turn it is, and since when.
        var current: (place: Int, since: ContinuousClock.Instant) { state.withLock { $0 } }
        /// Whether all have had their turn.
        var isOver: Bool { current.place >= count }

        /// Gives the turn to the next; false where there is none that could have ended.
        func pass() -> Bool {
            state.withLock { state in
                if state.place >= count { return false }
                state = (state.place + 1, .now)
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
        _ ended: @escaping @Sendable (AttemptResult) async -> Void
    ) async -> AttemptResult? {
        await withTaskGroup(of: Step.self) { group in
            group.addImmediateTask {
                do {
                    try await flow.run(tasks) { result in
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
