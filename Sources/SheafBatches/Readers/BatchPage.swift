package import SheafCore

/// Some batches of a list, newest first.
package struct BatchPage: Sendable, Equatable {
    /// The place of a batch in the list: a cursor that stays valid if the batch is deleted.
    package struct Place: Sendable, Equatable, CustomStringConvertible {
        /// The batch.
        package var batch: Name
        /// When it was created.
        package var createdAt: Timestamp

        package init(of batch: BatchInfo) { (self.batch, createdAt) = (batch.id, batch.createdAt) }

        /// Parses ``description``; returns nil for anything else.
        package init?(_ text: String) {
            let parts = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, let time = Int64(parts[0]), let batch = Name(String(parts[1])) else { return nil }
            (self.batch, createdAt) = (batch, Timestamp(milliseconds: time))
        }

        package var description: String { "\(createdAt.milliseconds).\(batch)" }
    }

    /// The batches.
    package var batches: [BatchSummary]
    /// Where the next page begins, or nil if there is none.
    package var next: Place?

    /// How many batches are looked at for one page; a page of a narrow filter may have fewer batches than asked for.
    package static let reach = 10_000
}

extension JournalState {
    /// Up to ``BatchPage/reach`` batches before a place, newest first, and whether there are more.
    func batches(before place: BatchPage.Place?) -> (batches: some Sequence<BatchInfo>, hasMore: Bool) {
        var end = order.endIndex
        if let place {
            // If the batch was deleted: after the newest one that is older by its time.
            let older = { order.lastIndex { (self[$0]?.createdAt ?? place.createdAt) < place.createdAt } }
            end = order.lastIndex(of: place.batch) ?? older().map { $0 + 1 } ?? 0
        }
        let start = max(0, end - BatchPage.reach)
        return (order[start..<end].reversed().lazy.compactMap { self[$0] }, start > 0)
    }
}
