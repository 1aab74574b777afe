import SheafCore

/// Batches as a table, one a line.
enum BatchTable {
    /// The lines for people.
    static func lines(_ batches: [BatchSummary], style: Style, now: Timestamp) -> [String] {
        var table = TextTable(columns: [
            .init(heading: "BATCH"), .init(heading: "FLOW"), .init(heading: "STATUS"),
            .init(heading: "DONE", isNumeric: true), .init(heading: "TOTAL", isNumeric: true),
            .init(heading: "FAILED", isNumeric: true), .init(heading: "CREATED"),
        ])
        for batch in batches {
            let status = batch.status
            let hasFailures = batch.counts.failed > 0
            table.add([
                .init(batch.record.id.text),
                .init(batch.record.flow.text),
                .init(status.rawValue + (batch.lacksCreator ? " (interrupted)" : "")) { style.paint(status, $0) },
                .init(String(batch.counts.settled)),
                .init(batch.isSealed ? String(batch.total) : "\(batch.total)+"),
                .init(String(batch.counts.failed)) { hasFailures ? style.paint($0, .red) : $0 },
                .init(Wording.ago(batch.record.createdAt, now: now)),
            ])
        }
        return table.lines
    }
}
