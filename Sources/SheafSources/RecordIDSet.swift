import SheafCore

/// Ids of records, at 16 bytes each: kept as digests of 128 bits, sorted.
///
/// An id that is not in the set is taken for one that is with a probability of less than one in 10²⁵ for ten million ids.
/// The digests are keyed anew in each process, so nobody can choose ids that collide.
public struct RecordIDSet: Sendable, Equatable {
    /// What stands for an id within this process.
    public struct Digest: Sendable, Hashable, Comparable {
        private let high: Int
        private let low: Int

        /// The digest of an id.
        public init(_ id: String) {
            var (first, second) = (Hasher(), Hasher())
            first.combine(UInt8(1))
            first.combine(id)
            second.combine(UInt8(2))
            second.combine(id)
            (high, low) = (first.finalize(), second.finalize())
        }

        /// Compares by value; the order means nothing.
        public static func < (left: Digest, right: Digest) -> Bool {
            (left.high, left.low) < (right.high, right.low)
        }
    }

    private let sorted: [Digest]

    /// Makes a set; an id may come more than once.
    public init(_ digests: [Digest]) { sorted = digests.sorted() }

    /// How many ids were put in.
    public var count: Int { sorted.count }

    /// Whether an id is in the set.
    public func contains(_ id: String) -> Bool {
        let wanted = Digest(id)
        var (low, high) = (0, sorted.count)
        while low < high {
            let middle = (low + high) / 2
            if sorted[middle] < wanted { low = middle + 1 } else { high = middle }
        }
        return low < sorted.count && sorted[low] == wanted
    }
}
