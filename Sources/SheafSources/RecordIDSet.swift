import SheafCore

/// A set of record ids that takes 16 bytes per id, stored as sorted 128-bit digests.
///
/// For ten million ids, the probability of a false positive is less than one in 10²⁵. Each process uses its own
/// random hash key, so an attacker cannot choose ids that collide.
public struct RecordIDSet: Sendable, Equatable {
    /// The digest of an id, valid within this process.
    package struct Digest: Sendable, Hashable, Comparable {
        private let high: Int
        private let low: Int

        /// Creates the digest of an id.
        package init(_ id: String) {
            var (first, second) = (Hasher(), Hasher())
            first.combine(UInt8(1))
            first.combine(id)
            second.combine(UInt8(2))
            second.combine(id)
            (high, low) = (first.finalize(), second.finalize())
        }

        /// Compares digests by value; the order has no meaning.
        package static func < (left: Digest, right: Digest) -> Bool {
            (left.high, left.low) < (right.high, right.low)
        }
    }

    private let sorted: [Digest]

    /// Creates a set; digests may repeat.
    package init(_ digests: [Digest]) { sorted = digests.sorted() }

    /// The number of digests, including repeated ones.
    package var count: Int { sorted.count }

    /// Returns whether the set contains an id.
    package func contains(_ id: String) -> Bool {
        let wanted = Digest(id)
        var (low, high) = (0, sorted.count)
        while low < high {
            let middle = (low + high) / 2
            if sorted[middle] < wanted { low = middle + 1 } else { high = middle }
        }
        return low < sorted.count && sorted[low] == wanted
    }
}
