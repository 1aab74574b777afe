/// A pseudo-random permutation of `0..<count`, computed position by position and never stored.
///
/// A Feistel network is a bijection on the numbers below a power of four above `count`, whatever its round function. A
/// result outside the range is permuted again until it is inside (cycle walking), which takes fewer than four rounds on
/// average.
struct Permutation: Sendable {
    private static let rounds = 6

    let count: Int
    private let halfBits: UInt64
    private let mask: UInt64
    private let keys: [UInt64]

    init(count: Int, seed: UInt64) {
        self.count = count
        let bits = Int.bitWidth - max(count - 1, 1).leadingZeroBitCount
        // Four elements have too few keyed functions to look shuffled, so small counts use a range of sixteen.
        self.halfBits = UInt64(max(2, (bits + 1) / 2))
        self.mask = 1 << halfBits - 1
        var generator = SplitMix64(seed: seed)
        self.keys = (0..<Self.rounds).map { _ in generator.next() }
    }

    /// The number at a position of the permutation.
    subscript(_ place: Int) -> Int {
        precondition(place >= 0 && place < count, "the position is out of range")
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

/// A small random number generator (SplitMix64) whose sequence for a seed never changes.
///
/// The standard library does not promise that its algorithms stay the same.
struct SplitMix64 {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        return Self.mix(state)
    }

    /// Returns a number in `0..<bound`; the bias is below one in 2⁶⁴ ÷ bound.
    mutating func next(below bound: Int) -> Int {
        Int(next().multipliedFullWidth(by: UInt64(bound)).high)
    }

    /// Mixes every bit of a value into all bits of the result; the mapping is a bijection.
    static func mix(_ value: UInt64) -> UInt64 {
        var mixed = value
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }
}
