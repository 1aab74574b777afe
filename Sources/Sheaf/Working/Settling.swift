import SheafBroker
import SheafCore

/// What a broker is to be told of tasks that have ended.
struct Settling: Sendable {
    /// The deliveries that the broker waits for.
    private(set) var owed: [Delivery.Token] = []
    /// The permits that went with them, and the batches those are of.
    private(set) var permits: [(batch: Name?, permit: Delivery)] = []
    /// The deliveries that the worker held.
    private(set) var released: [Delivery.Token] = []

    init(_ holdings: [Holding] = []) {
        for holding in holdings { add(holding) }
    }

    /// Whether nothing has ended.
    var isEmpty: Bool { released.isEmpty }

    /// Adds what others have added.
    mutating func add(_ other: Settling) {
        owed += other.owed
        permits += other.permits
        released += other.released
    }

    /// Adds a delivery that the worker held.
    mutating func add(_ holding: Holding) {
        holding.addOwed(to: &owed)
        holding.addPermits(to: &permits)
        released.append(holding.item.token)
    }
}
