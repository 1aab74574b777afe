import Sheaf
import SheafCore

/// Follows a batch to its end and shows how far it is.
struct BatchFollower: Sendable {
    let client: SheafClient
    let console: Console

    /// Follows until the batch ends or the time is over; returns where it stands then, and whether it has ended.
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
                : Diagnosis(.timedOut, "nothing was heard of batch '\(reference)' in time")
        }
        return (last, isOver)
    }
}
