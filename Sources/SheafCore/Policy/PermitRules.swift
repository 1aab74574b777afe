/// The pure rules of a batch's concurrency limit: how many permits exist and which of them are valid.
///
/// A permit is a message in a queue; a worker that holds it may run one task. Each permit carries its own number and
/// the number of the change that minted it. Lowering the limit permanently invalidates the permits with higher numbers;
/// a worker that receives one drops it.
package struct PermitRules: Sendable, Equatable {
    /// The maximum number of tasks running at once, or nil for no limit.
    package private(set) var limit: Int?
    /// The number of changes of the limit so far.
    package private(set) var change = 0
    /// For each change, the permit number from which permits that were minted earlier are invalid.
    private var bounds: [Bound] = []

    private struct Bound: Sendable, Equatable {
        var change: Int
        var limit: Int
    }

    package init(limit: Int?) {
        self.limit = limit
    }

    /// Sets a new limit.
    ///
    /// Setting the same limit again invalidates all earlier permits, which repairs an interrupted change.
    package mutating func change(to limit: Int?) {
        change += 1
        let kept = self.limit == limit ? 0 : min(self.limit ?? 0, limit ?? 0)
        bounds.removeAll { $0.limit >= kept }
        bounds.append(Bound(change: change, limit: kept))
        self.limit = limit
    }

    /// The numbers of the permits that the latest change must mint.
    package var minted: Range<Int> {
        guard let limit else { return 0..<0 }
        return (bounds.last?.limit ?? 0)..<limit
    }

    /// Returns whether a permit still allows its holder to run a task.
    package func isValid(_ permit: Permit) -> Bool {
        guard let limit, permit.number < limit else { return false }
        return !bounds.contains { permit.change < $0.change && permit.number >= $0.limit }
    }
}

/// The permission to run one task of a batch that has a concurrency limit.
package struct Permit: Sendable, Hashable {
    package static let messageType = "permit"

    /// The number of the limit change that minted the permit; 0 for the creation of the batch.
    package var change: Int
    /// The permit's number within the batch, from 0.
    package var number: Int

    package init(change: Int, number: Int) {
        self.change = change
        self.number = number
    }

    package var message: Message { Message(id: "\(change):\(number)", type: Self.messageType) }

    /// Decodes a permit; returns nil if the message is not one.
    package init?(_ message: Message) {
        let parts = message.id.split(separator: ":", maxSplits: 1).map { Int($0) }
        guard message.type == Self.messageType, parts.count == 2, let change = parts[0], let number = parts[1],
            change >= 0, number >= 0
        else { return nil }
        self.init(change: change, number: number)
    }
}
