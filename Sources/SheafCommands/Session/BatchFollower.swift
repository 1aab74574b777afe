import Sheaf
import SheafCore
import Synchronization

/// Follows a batch to its end and shows its progress.
struct BatchFollower: Sendable {
    let client: SheafClient
    let console: Console

    /// Follows until the batch ends, has paused after its pilot, or the time is over.
    ///
    /// - Returns: Its last state, and whether the time was sufficient.
    func follow(_ reference: String, timeout: Duration?) async throws -> (last: BatchSummary, isOver: Bool) {
        let latest = Latest<BatchSummary>()
        let display = ProgressDisplay(console: console)
        defer { display.end() }
        let isOver = try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask {
                for try await summary in client.progress(of: reference) {
                    latest.note(summary)
                    display.show(ProgressSample(of: summary))
                }
                return true
            }
            if let timeout {
                group.addTask {
                    try await Task.sleep(for: timeout)
                    return false
                }
            }
            defer { group.cancelAll() }
            return try await group.next() ?? true
        }
        try Task.checkCancellation()
        guard let last = latest.value else {
            throw isOver
                ? Diagnosis(.notFound, "batch '\(reference)' is gone")
                : Diagnosis(.timedOut, "the state of batch '\(reference)' was not available in time")
        }
        // The aggregator of another process may have counted more than this one has followed so far.
        return isOver ? (last, true) : (try await client.batch(last.info.id.text), false)
    }

    /// Follows a batch, prints how it ended, and throws the exit code that reports it.
    ///
    /// With `json`, the last state of the batch is printed, also if the time was over first.
    func conclude(_ reference: String, timeout: Duration?, json: ((BatchSummary) -> JSONValue)?) async throws {
        let (last, isOver) = try await follow(reference, timeout: timeout)
        if let json { try console.print(json(last).text) }
        guard isOver else {
            throw Diagnosis(
                .timedOut,
                "batch \(last.info.id) has not ended within \(Wording.duration(timeout ?? .zero)): "
                    + Wording.counts(last.counts),
                advice: "it continues; 'sheaf watch \(last.info.id)' follows it"
            )
        }
        console.say(Wording.conclusion(last))
        if let pilot = Wording.endOfPilot(last) { console.say(pilot) }
        if let advice = Wording.afterFailures(last) { console.say(advice) }
        if last.verdict != .success { throw Diagnosis.silent(last.verdict) }
    }
}

/// The latest of many values, shared by concurrent code.
final class Latest<Value: Sendable>: Sendable {
    private let stored = Mutex<Value?>(nil)

    /// The value, if there was one.
    var value: Value? { stored.withLock { $0 } }

    /// Sets the value.
    func note(_ value: Value) { stored.withLock { $0 = value } }
}
