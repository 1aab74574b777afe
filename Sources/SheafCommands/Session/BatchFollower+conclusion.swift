import Sheaf
import SheafCore

extension BatchFollower {
    /// Follows a batch, says how it ended and ends the command with the exit code that tells so.
    ///
    /// With `json`, where the batch stands at the end is printed, also where the time was over first.
    func conclude(_ reference: String, timeout: Duration?, json: ((BatchSummary) -> JSONValue)?) async throws {
        let (last, isOver) = try await follow(reference, timeout: timeout)
        if let json { try console.print(json(last).text) }
        guard isOver else {
            throw Diagnosis(
                .timedOut,
                "batch \(last.record.id) has not ended within \(Wording.duration(timeout ?? .zero)): "
                    + Wording.counts(last.counts),
                advice: "it goes on; 'sheaf watch \(last.record.id)' follows it"
            )
        }
        console.say(Wording.conclusion(last))
        if last.counts.failed > 0 {
            console.say("'sheaf results \(last.record.id) --status failed' shows what failed")
        }
        if last.verdict != .success { throw Diagnosis.silent(last.verdict) }
    }
}
