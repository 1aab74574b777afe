import SheafBatches
import SheafCore

/// What the journal records about a batch as a whole.
struct JournalView {
    struct Row {
        let key: String
        let what: String
        let detail: String
        let at: Moment?
    }

    let base: String
    let head: BatchHead
    let rows: [Row]
    let commands: [String]

    init(_ batch: BatchSummary, _ events: [BatchEvent], base: String, mayWrite: Bool) {
        self.base = base
        head = BatchHead(batch, base: base, section: .journal, mayWrite: mayWrite)
        rows = events.reversed().map { event in
            Row(
                key: String(event.offset),
                what: event.what,
                detail: [event.generation.flatMap { $0 > 0 ? "generation \($0)" : nil }, event.detail]
                    .compactMap(\.self).joined(separator: ": "),
                at: event.at.map { Moment($0) }
            )
        }
        commands = ["sheaf events \(head.id)"]
    }
}

/// A page of a batch whose tasks are still being read.
struct ReadingView {
    let base: String
    let head: BatchHead

    init(_ batch: BatchSummary, base: String, mayWrite: Bool) {
        self.base = base
        head = BatchHead(batch, base: base, section: .tasks, mayWrite: mayWrite)
    }
}
