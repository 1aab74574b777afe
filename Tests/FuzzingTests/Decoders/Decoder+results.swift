import SheafCore

extension Decoder {
    /// The short way of counting agrees with the long way of reading, and an outcome that was read is written so that
    /// it is read as the same.
    func checkResults(_ bytes: [UInt8]) throws {
        guard let batch = Name("b") else { return }
        let message = ResultMessage.outcomes(batch: batch, lines: bytes)
        let (summaries, unreadable) = ResultMessage.summaries(of: message)
        let outcomes = ResultMessage.outcomes(of: message)
        // The short way does not look at what follows; so it may count what the long way can not read.
        try require(outcomes.count <= summaries.count, "more outcomes than are counted")
        if unreadable == 0, outcomes.count == summaries.count {
            try require(outcomes.map(\.summary) == summaries, "what is counted is not what is read")
        }
        var state = BatchState()
        for summary in summaries { state.apply(summary) }
        let before = state
        for summary in summaries { state.apply(summary) }
        try require(state == before, "repetition changes the state")
        try require(state.settled.count <= summaries.count, "more tasks are settled than outcomes came")
        for outcome in outcomes { try checkOutcome(outcome, batch: batch) }
        var started = message
        started.type = ResultMessage.startedType
        if let moment = ResultMessage.startedAt(started) { state.applyStarted(at: moment) }
        let progress = BatchProgress(batch: batch, state: state, running: 1, offset: 1)
        try require(BatchProgress(json: progress.json) == progress, "progress is read as another")
    }

    private func checkOutcome(_ outcome: Outcome, batch: Name) throws {
        var line: [UInt8] = []
        outcome.writeLine(to: &line)
        try require(line.last == 0x0A && line.count { $0 == 0x0A } == 1, "an outcome is not one line")
        let again = try Outcome(line: Array(line.dropLast()))
        try require(again.summary == outcome.summary && again.recordID == outcome.recordID, "another outcome is read")
        var second: [UInt8] = []
        again.writeLine(to: &second)
        try require(second == line, "written twice an outcome is another line")
        var row: [UInt8] = []
        outcome.writeRow(batch: batch, to: &row)
        try JSON.validate(row)
    }
}
