import BitCollections
import SheafCore
public import SheafSources

/// The records all of whose tasks succeeded in a batch, by their ids.
///
/// Reading them takes 24 bytes of memory a record and a bit a task, keeping them 16 bytes a record.
public struct SucceededRecords: Sendable {
    /// The batch, and how far its outcomes count.
    public let skip: BatchInput.Skip
    /// The ids.
    public let ids: RecordIDSet
}

extension SheafClient {
    /// Finds the records of a batch (or of the newest, for `last`) all of whose tasks succeeded, up to an end offset of its
    /// results log or to the present end.
    ///
    /// Throws `notNow` where the batch neither has ended nor is halted (cancelled, stopped or paused), and `notFound`.
    public func succeededRecords(of reference: String, upTo end: Int64? = nil) async throws -> SucceededRecords {
        let results = try await BatchResults.open(client: self, reference: reference, ordered: false, upTo: end)
        let batch = results.batch
        if end == nil, batch.isRunnable {
            throw SheafError(
                .notNow,
                "batch '\(batch.id)' still goes on; what has succeeded in it can be left out once it has ended or is paused"
            )
        }
        let variants = try batch.variants().variants.count
        var seen: [(digest: RecordIDSet.Digest, index: UInt32)] = []
        var succeeded = BitSet()
        for try await outcomes in results {
            for outcome in outcomes {
                guard outcome.status == .succeeded else {
                    succeeded.remove(outcome.index)  // an earlier success was tried again, and failed
                    continue
                }
                succeeded.insert(outcome.index)
                if outcome.index.isMultiple(of: variants) {
                    seen.append((RecordIDSet.Digest(outcome.recordID), UInt32(outcome.index)))
                }
            }
        }
        let whole = seen.lazy.filter { entry in
            (Int(entry.index)..<Int(entry.index) + variants).allSatisfy(succeeded.contains)
        }
        return SucceededRecords(
            skip: BatchInput.Skip(batch: batch.id, endOffset: results.end),
            ids: RecordIDSet(whole.map(\.digest))
        )
    }
}
