import SheafBroker
import Synchronization

/// How the calls of a ``BrokerExercise`` went.
final class ExerciseRecord: Sendable {
    private struct Call {
        let activity: BrokerExercise.Activity?
        let start: ContinuousClock.Instant
        let end: ContinuousClock.Instant
        let error: BrokerError?
    }

    private struct State {
        var calls: [Call] = []
        var isStopping = false
    }

    private let state = Mutex(State())

    /// Whether no more is to be produced.
    var isStopping: Bool { state.withLock { $0.isStopping } }

    func stop() { state.withLock { $0.isStopping = true } }

    func succeeded(_ activity: BrokerExercise.Activity, _ start: ContinuousClock.Instant) {
        state.withLock { $0.calls.append(Call(activity: activity, start: start, end: .now, error: nil)) }
    }

    func failed(_ activity: BrokerExercise.Activity?, _ start: ContinuousClock.Instant, _ error: BrokerError) {
        state.withLock { $0.calls.append(Call(activity: activity, start: start, end: .now, error: error)) }
    }

    /// How long after a moment each activity first succeeded with a call that was begun after it.
    func firstSuccesses(since moment: ContinuousClock.Instant) -> [BrokerExercise.Activity: Duration] {
        first { $0.error == nil && $0.start >= moment }.mapValues { $0.end - moment }
    }

    /// How long after a moment each activity first failed, and with what.
    func firstErrors(
        since moment: ContinuousClock.Instant
    ) -> [BrokerExercise.Activity: (after: Duration, error: BrokerError)] {
        first { $0.error != nil && $0.end >= moment }
            .compactMapValues { call in call.error.map { (call.end - moment, $0) } }
    }

    /// The longest call that ended after a moment.
    func longestCall(
        since moment: ContinuousClock.Instant,
        of activities: [BrokerExercise.Activity]
    ) -> (BrokerExercise.Activity, Duration)? {
        state.withLock { state in
            let calls = state.calls.filter { call in
                call.end >= moment && call.activity.map { activities.contains($0) } ?? false
            }
            guard let longest = calls.max(by: { $0.end - $0.start < $1.end - $1.start }),
                let activity = longest.activity
            else { return nil }
            return (activity, longest.end - longest.start)
        }
    }

    /// The newest errors, for people.
    var lastErrors: String {
        state.withLock { state in
            state.calls.compactMap { call in call.error.map { "\(call.activity?.rawValue ?? "other"): \($0)" } }
                .suffix(4).joined(separator: "; ")
        }
    }

    private func first(where condition: (Call) -> Bool) -> [BrokerExercise.Activity: Call] {
        state.withLock { state in
            var first: [BrokerExercise.Activity: Call] = [:]
            for call in state.calls where condition(call) {
                if let activity = call.activity, first[activity] == nil { first[activity] = call }
            }
            return first
        }
    }
}
