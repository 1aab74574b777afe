import SheafBatches
import SheafBroker
import SheafCore

/// What a broker is to be told of tasks that have ended.
struct PendingSettlement: Sendable {
    /// The deliveries that the broker waits for.
    private(set) var owed: [Delivery.Token] = []
    /// The permits that went with them, and the batches those are of.
    private(set) var permits: [(batch: Name?, permit: Delivery)] = []
    /// The deliveries that the worker held.
    private(set) var released: [Delivery.Token] = []

    init(_ holdings: [HeldTask] = []) {
        for holding in holdings { add(holding) }
    }

    /// Whether nothing has ended.
    var isEmpty: Bool { released.isEmpty }

    /// Adds what others have added.
    mutating func add(_ other: PendingSettlement) {
        owed += other.owed
        permits += other.permits
        released += other.released
    }

    /// Adds a delivery that the worker held.
    mutating func add(_ holding: HeldTask) {
        holding.addOwed(to: &owed)
        holding.addPermits(to: &permits)
        released.append(holding.item.token)
    }
}
