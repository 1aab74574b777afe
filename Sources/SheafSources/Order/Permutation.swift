/// A pseudo-random order of `0..<count`, computed place by place and never stored.
///
/// A Feistel network is one to one over the power of four above `count` whatever its round function; a result outside
/// the range goes through again until it is inside (cycle walking), which takes fewer than four turns on average.
struct Permutation: Sendable {
    private static let rounds = 6

    let count: Int
    private let halfBits: UInt64
    private let mask: UInt64
    private let keys: [UInt64]

    init(count: Int, seed: UInt64) {
        self.count = count
        let bits = Int.bitWidth - max(count - 1, 1).leadingZeroBitCount
        // Four elements have too few keyed functions to look shuffled, so small counts walk within sixteen.
        self.halfBits = UInt64(max(2, (bits + 1) / 2))
        self.mask = 1 << halfBits - 1
        var generator = SplitMix64(seed: seed)
        self.keys = (0..<Self.rounds).map { _ in generator.next() }
    }

    /// What stands at a place of the order.
    subscript(_ place: Int) -> Int {
        precondition(place >= 0 && place < count, "a place outside the order")
        var value = UInt64(place)
        repeat { value = turn(value) } while value >= UInt64(count)
        return Int(value)
    }

    private func turn(_ value: UInt64) -> UInt64 {
        var left = value >> halfBits
        var right = value & mask
        for key in keys {
            (left, right) = (right, left ^ SplitMix64.mix(right ^ key) & mask)
        }
        return left << halfBits | right
    }
}
