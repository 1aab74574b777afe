import SheafBatches
import SheafCore
import SheafSources

extension SheafClient {
    /// Creates a batch of records, or completes it if the same call was interrupted before; returns its id.
    ///
    /// - Throws: ``SheafError`` with `alreadyExists` if a batch of that id has another flow or other records.
    func createOnce(_ plan: BatchPlan, _ records: [Record]) async throws -> Name {
        let items = records.enumerated().map { index, record in
            SourceItem(index: index, place: record.id, content: .record(record))
        }
        do {
            return try await create(plan, from: Self.chunks(items, from: 0)).id
        } catch let error as SheafError where error.code == .alreadyExists {
            guard let id = plan.id else { throw error }
            let info: BatchInfo
            do {
                info = try await infoToResume(id.text)
            } catch let failure as SheafError where [.notFound, .cancelled].contains(failure.code) {
                // It was deleted, or another process has just begun to create it.
                throw error
            }
            guard info.flow == plan.flow else { throw error }
            try check(info, items)
            return try await resume(id, publishTimeout: plan.publishTimeout, comparing: true) { position in
                Self.chunks(items, from: position)
            }.id
        }
    }

    /// Throws if a batch was published in full with other records.
    private func check(_ info: BatchInfo, _ items: [SourceItem]) throws {
        guard let total = info.sealedTotal else { return }
        var digest = ItemDigest()
        for item in items { digest.add(item) }
        let isSame = info.published != total || info.publishedDigest.map { $0 == digest.text } ?? true
        if total != items.count || !isSame {
            throw SheafError(
                .alreadyExists,
                "batch '\(info.id)' already exists with other requests",
                advice: .chooseAnotherID
            )
        }
    }

    private static func chunks(_ items: [SourceItem], from position: Int) -> AsyncStream<[SourceItem]> {
        AsyncStream { continuation in
            for start in stride(from: position, to: items.count, by: 100) {
                continuation.yield(Array(items[start..<min(start + 100, items.count)]))
            }
            continuation.finish()
        }
    }
}
