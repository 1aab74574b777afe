import SheafCore
import Synchronization

extension FlowDefinition {
    /// Runs one attempt at each of several tasks in turn and never throws; see ``attempt(_:clock:)`` for a single one.
    ///
    /// The time-out of each begins when the one before it has ended. Where the calling task is cancelled, so are all that
    /// have not ended.
    ///
    /// - Parameters:
    ///   - tasks: What to work on.
    ///   - ended: Hears the result of each, in their order and as soon as it is there.
    @concurrent
    public func attempt(_ tasks: [FlowTask], ended: @escaping @Sendable (AttemptResult) async -> Void) async {
        guard let serialFlow else {
            for task in tasks { await ended(await attempt(task)) }
            return
        }
        var rest = tasks.map(completed)[...]
        while !rest.isEmpty, !Task.isCancelled {
            let turn = Turn()
            let failure = await perform(rest, with: serialFlow, turn, ended)
            rest = rest.dropFirst(turn.count)
            guard let failure, !rest.isEmpty else { continue }
            rest.removeFirst()
            await ended(failure)
        }
        for _ in rest { await ended(.cancelled) }
    }

    /// Which of several tasks has its turn, and since when.
    private final class Turn: Sendable {
        private let state = Mutex((count: 0, since: ContinuousClock.now))

        /// How many tasks have ended.
        var count: Int { state.withLock { $0.count } }
        /// When the one whose turn it is has begun.
        var since: ContinuousClock.Instant { state.withLock { $0.since } }

        func pass() { state.withLock { $0.count += 1 } }
        func begin() { state.withLock { $0.since = .now } }
    }

    private enum Step {
        case ended(AttemptResult?)
        case overdue
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
                        turn.pass()
                        await ended(AttemptResult(result))
                        turn.begin()
                    }
                    return .ended(nil)
                } catch {
                    return .ended(AttemptResult(failure: error))
                }
            }
            if let timeout { group.addTask { await Self.watch(turn, timeout) } }
            var step = await group.next()
            group.cancelAll()
            if case .overdue = step {
                // What ended just now has not failed; all else has, by being cancelled.
                step = await group.next()
                if case .ended(.some) = step, !Task.isCancelled { return overdue }
            }
            guard case .ended(let failure) = step else { return overdue }
            return failure
        }
    }

    /// Returns when the task whose turn it is has had it for too long.
    private static func watch(_ turn: Turn, _ timeout: Duration) async -> Step {
        while !Task.isCancelled {
            let end = turn.since + timeout
            if end <= .now { break }
            try? await Task.sleep(until: end)
        }
        return .overdue
    }
}
