import SheafCore
import SheafSources

/// The records of a stream that were published before, which are read again only to see whether they are the same.
struct StreamPrefix {
    let count: Int
    /// What the journal says of them.
    let digest: String?

    /// Reads them; returns what came behind them in the same chunk, and the digest to go on with.
    ///
    /// Throws a ``SourceError`` where the stream is shorter than that or other records are in it.
    func pass<Iterator: AsyncIteratorProtocol>(
        _ iterator: inout Iterator
    ) async throws -> (rest: [SourceItem], digest: ItemDigest) where Iterator.Element == [SourceItem] {
        var seen = ItemDigest()
        var passed = 0
        while passed < count {
            guard let chunk = try await iterator.next(isolation: #isolation) else {
                throw SourceError(
                    .changed,
                    "the stream ends after \(passed) records; \(count) were published when it was read first"
                )
            }
            let mine = chunk.prefix(count - passed)
            for item in mine { seen.add(item) }
            passed += mine.count
            if passed == count {
                if let digest, seen.text != digest {
                    throw SourceError(.changed, "the first \(count) records are not those that were published")
                }
                return (Array(chunk[mine.endIndex...]), seen)
            }
        }
        return ([], seen)
    }
}
