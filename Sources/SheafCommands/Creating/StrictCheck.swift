import SheafSources

/// Reads a whole input and refuses it where any record is bad.
struct StrictCheck: Sendable {
    /// How many bad records are listed at most.
    let limit: Int

    /// Throws where a record is bad; names the first ones with place and cause.
    func run(_ source: RecordSource) async throws {
        let report = try await source.checkStrictly(keeping: limit)
        if !report.isValid { throw refusal(report, consequence: "nothing was published") }
    }

    /// The error for a report of bad records.
    func refusal(_ report: StrictReport, consequence: String) -> Diagnosis {
        var lines = [
            "\(report.invalid) of \(Wording.count(report.checked, "record")) can not be read; \(consequence)"
        ]
        lines += report.first.map(\.complaint)
        if report.invalid > report.first.count { lines.append("… and \(report.invalid - report.first.count) more") }
        return Diagnosis(.badData, lines.joined(separator: "\n"))
    }
}

extension SourceItem {
    /// What is wrong with an item, and where.
    var complaint: String {
        switch content {
        case .record: place
        case .invalid(let message): message.hasPrefix(place) ? message : "\(place): \(message)"
        }
    }
}
