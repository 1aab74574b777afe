import SheafCore
import SheafFlows
import Synchronization

/// Keeps records in memory, folded as readers of the log do.
final class SubmissionRecords: SubmissionRecorder {
    private struct State {
        var submissions = Submissions()
        var events: [String] = []
    }

    private let state = Mutex(State())

    var all: [Submission] { state.withLock { Array($0.submissions.all) } }

    func events(of type: String) -> Int { state.withLock { $0.events.count { $0 == type } } }

    func record(_ event: SubmissionEntry.Event, of key: String) async { record(event, key: key) }

    func record(_ event: SubmissionEntry.Event, key: String) {
        let time = Timestamp(milliseconds: 0)
        let entry = SubmissionEntry(key: key, batch: "b1", flow: "f", bulk: key, at: time, by: "me", event: event)
        state.withLock { state in
            state.submissions.apply(entry)
            state.events.append(event.type)
        }
    }

    func submission(_ key: String) async -> Submission? { state.withLock { $0.submissions[key] } }

    func tokens(before key: String) async -> Int? {
        state.withLock { $0.submissions.ahead(of: key).reduce(0) { $0 + $1.tokens } }
    }
}
