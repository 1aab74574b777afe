import SheafBroker
import SheafCore
import Synchronization

/// The results of the calls of a ``BrokerExercise``.
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

    /// Whether nothing more must be produced.
    var isStopping: Bool { state.withLock { $0.isStopping } }

    func stop() { state.withLock { $0.isStopping = true } }

    func succeeded(_ activity: BrokerExercise.Activity, _ start: ContinuousClock.Instant) {
        state.withLock { $0.calls.append(Call(activity: activity, start: start, end: .now, error: nil)) }
    }

    func failed(_ activity: BrokerExercise.Activity?, _ start: ContinuousClock.Instant, _ error: BrokerError) {
        state.withLock { $0.calls.append(Call(activity: activity, start: start, end: .now, error: error)) }
    }

    /// Returns how long after a point in time each activity first completed a call begun after it.
    func firstSuccesses(since moment: ContinuousClock.Instant) -> [BrokerExercise.Activity: Duration] {
        first { $0.error == nil && $0.start >= moment }.mapValues { $0.end - moment }
    }

    /// Returns how long after a point in time each activity first failed, and the error.
    func firstErrors(
        since moment: ContinuousClock.Instant
    ) -> [BrokerExercise.Activity: (after: Duration, error: BrokerError)] {
        first { $0.error != nil && $0.end >= moment }
            .compactMapValues { call in call.error.map { (call.end - moment, $0) } }
    }

    /// Returns the longest call that ended after a point in time.
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

    /// The newest errors, for display.
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

/// The messages that a ``BrokerExercise`` sent to a broker and received from it.
final class ExerciseLedger: Sendable {
    private struct State {
        var published: Set<String> = []
        var settled: Set<String> = []
        var appended: Set<String> = []
        var read: Set<String> = []
        var lastOffset: Int64 = -1
        var problem: String?
    }

    private let state = Mutex(State())

    /// Records tasks that the broker confirmed.
    func published(_ ids: [String]) { state.withLock { $0.published.formUnion(ids) } }

    /// Records tasks that were settled on their own channel.
    func settled(_ ids: [String]) { state.withLock { $0.settled.formUnion(ids) } }

    /// Records entries that the broker confirmed.
    func appended(_ ids: [String]) { state.withLock { $0.appended.formUnion(ids) } }

    /// Records entries that were read; none may occur twice or out of order.
    func read(_ entries: [LogEntry]) {
        state.withLock { state in
            for entry in entries {
                if entry.offset <= state.lastOffset {
                    state.problem = "entry \(entry.offset) was read after \(state.lastOffset)"
                }
                state.lastOffset = entry.offset
                state.read.insert(entry.message.id)
            }
        }
    }

    /// The number of confirmed tasks and entries.
    var confirmedCount: Int { state.withLock { $0.published.count + $0.appended.count } }

    /// The confirmed tasks and entries that did not arrive, for display, or nil if there are none.
    var missing: String? {
        state.withLock { state in
            let tasks = state.published.subtracting(state.settled)
            let entries = state.appended.subtracting(state.read)
            guard !tasks.isEmpty || !entries.isEmpty else { return nil }
            let examples = (tasks.sorted().prefix(3) + entries.sorted().prefix(3)).joined(separator: ", ")
            return "\(tasks.count) tasks and \(entries.count) entries were confirmed and not seen: \(examples)"
        }
    }

    /// The first rule that was violated, for display, or nil.
    var problem: String? { state.withLock { $0.problem } }
}
