/// A set of task indices, written as in `3,7-9`.
public struct IndexRanges: Sendable, Hashable, CustomStringConvertible {
    /// The ranges in ascending order, without overlap.
    package private(set) var ranges: [Range<Int>] = []

    /// Creates an empty set.
    package init() {}

    /// Creates a set from indices in ascending order; repeated indices have no effect.
    public init(rising indices: some Sequence<Int>) {
        for index in indices { append(index) }
    }

    /// Parses indices and closed ranges, separated by commas, such as `3,7-9`; returns nil for anything else.
    public init?(_ text: some StringProtocol) {
        var found: [Range<Int>] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let ends = part.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
            guard let first = ends.first.flatMap({ Self.number($0) }),
                let last = ends.count == 1 ? first : Self.number(ends[1]), last >= first
            else { return nil }
            found.append(first..<last + 1)
        }
        for range in found.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            if let end = ranges.last?.upperBound, range.lowerBound <= end {
                ranges[ranges.count - 1] = ranges[ranges.count - 1].lowerBound..<max(end, range.upperBound)
            } else {
                ranges.append(range)
            }
        }
    }

    private static func number(_ digits: some StringProtocol) -> Int? {
        guard !digits.isEmpty, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let value = Int(digits),
            value < BatchState.maximumTasks
        else { return nil }
        return value
    }

    /// Adds an index that is not smaller than any index in the set.
    package mutating func append(_ index: Int) {
        guard let last = ranges.last else { return ranges.append(index..<index + 1) }
        if index == last.upperBound {
            ranges[ranges.count - 1] = last.lowerBound..<index + 1
        } else if index > last.upperBound {
            ranges.append(index..<index + 1)
        }
    }

    /// The number of indices.
    package var count: Int { ranges.reduce(0) { $0 + $1.count } }
    /// Whether the set is empty.
    package var isEmpty: Bool { ranges.isEmpty }
    /// The indices in ascending order.
    package var indices: some Sequence<Int> { ranges.lazy.joined() }

    /// Returns whether the set contains an index.
    package func contains(_ index: Int) -> Bool {
        var (low, high) = (0, ranges.count)
        while low < high {
            let middle = (low + high) / 2
            if ranges[middle].upperBound <= index { low = middle + 1 } else { high = middle }
        }
        return low < ranges.count && ranges[low].contains(index)
    }

    /// The set in the form that ``init(_:)`` parses.
    public var description: String {
        ranges.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound - 1)" }
            .joined(separator: ",")
    }
}
