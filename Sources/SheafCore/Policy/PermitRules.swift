/// How many tasks of a batch may run at once, and which permits stand for that: pure rules.
///
/// A permit is a message in a queue; holding it allows one task. Permits carry the number of the change that minted them and
/// their own number. A lower limit makes those with higher numbers void for good, so that they are dropped when met.
public struct PermitRules: Sendable, Equatable {
    /// The most tasks at once, or nil for no limit.
    public private(set) var limit: Int?
    /// How often the limit was changed.
    public private(set) var change = 0
    /// From which change on permits with numbers from a bound on are void, when they were minted before it.
    private var bounds: [Bound] = []

    private struct Bound: Sendable, Equatable {
        var change: Int
        var limit: Int
    }

    /// Makes the rules of a new batch.
    public init(limit: Int?) {
        self.limit = limit
    }

    /// Sets another limit; the same one again makes all earlier permits void, which mends what an interrupted change has left.
    public mutating func change(to limit: Int?) {
        change += 1
        let kept = self.limit == limit ? 0 : min(self.limit ?? 0, limit ?? 0)
        bounds.removeAll { $0.limit >= kept }
        bounds.append(Bound(change: change, limit: kept))
        self.limit = limit
    }

    /// The numbers of the permits that the latest change has to mint.
    public var minted: Range<Int> {
        guard let limit else { return 0..<0 }
        return (bounds.last?.limit ?? 0)..<limit
    }

    /// Whether a permit still allows anything.
    public func isValid(_ permit: Permit) -> Bool {
        guard let limit, permit.number < limit else { return false }
        return !bounds.contains { permit.change < $0.change && permit.number >= $0.limit }
    }
}

/// The right to run one task of a batch with a limit.
public struct Permit: Sendable, Hashable {
    /// The type of messages that are permits.
    public static let messageType = "permit"

    /// The number of the change of the limit that minted it; 0 for the creation of the batch.
    public var change: Int
    /// Its number among the batch's permits, from 0.
    public var number: Int

    /// Makes a permit.
    public init(change: Int, number: Int) {
        self.change = change
        self.number = number
    }

    /// The permit as a message.
    public var message: Message { Message(id: "\(change):\(number)", type: Self.messageType) }

    /// Reads a permit; nil where the message is none.
    public init?(_ message: Message) {
        let parts = message.id.split(separator: ":", maxSplits: 1).map { Int($0) }
        guard message.type == Self.messageType, parts.count == 2, let change = parts[0], let number = parts[1],
            change >= 0, number >= 0
        else { return nil }
        self.init(change: change, number: number)
    }
}
