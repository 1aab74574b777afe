import SheafCore

extension Decoder {
    /// Checks that summaries agree with complete outcomes, and that a decoded outcome is written so that it is decoded
    /// as the same outcome.
    func checkResults(_ bytes: [UInt8]) throws {
        let batch: Name = "b"
        let message = ResultMessage.outcomes(batch: batch, lines: bytes)
        let (summaries, unreadable) = ResultMessage.summaries(of: message)
        let outcomes = ResultMessage.outcomes(of: message)
        // The fast path does not read the rest of a line, so it may count lines that are not valid outcomes.
        try require(outcomes.count <= summaries.count, "there are more outcomes than summaries")
        if unreadable == 0, outcomes.count == summaries.count {
            try require(outcomes.map(\.summary) == summaries, "summaries and outcomes disagree")
        }
        var state = BatchState()
        for summary in summaries { state.apply(summary) }
        let before = state
        for summary in summaries { state.apply(summary) }
        try require(state == before, "repetition changes the state")
        try require(state.settled.count <= summaries.count, "there are more settled tasks than outcomes")
        for outcome in outcomes { try checkOutcome(outcome, batch: batch) }
        var started = message
        started.type = ResultMessage.startedType
        if let time = ResultMessage.startedAt(started) { state.applyStarted(at: time) }
        let progress = BatchProgress(batch: batch, state: state, running: 1, offset: 1)
        try require(BatchProgress(json: progress.json) == progress, "progress is not decoded as it was encoded")
    }

    private func checkOutcome(_ outcome: Outcome, batch: Name) throws {
        var line: [UInt8] = []
        outcome.writeLine(to: &line)
        try require(line.last == 0x0A && line.count { $0 == 0x0A } == 1, "an outcome is not one line")
        let again = try Outcome(line: Array(line.dropLast()))
        try require(
            again.summary == outcome.summary && again.recordID == outcome.recordID,
            "an outcome is not decoded as it was encoded"
        )
        var second: [UInt8] = []
        again.writeLine(to: &second)
        try require(second == line, "writing an outcome twice gives different lines")
        var row: [UInt8] = []
        outcome.writeRow(batch: batch, to: &row)
        try JSON.validate(row)
    }
}
