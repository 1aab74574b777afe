import SheafBatches
import SheafBroker
import SheafCore

/// A delivery that is not settled yet, and what has become of its task meanwhile.
struct HeldTask: Sendable {
    /// The delivery with its permit.
    var item: InboxItem
    /// Since when it is held.
    let since: ContinuousClock.Instant
    /// Since when its permit is held.
    var permitSince: ContinuousClock.Instant
    /// The task, once it runs.
    @BoxedIfAny var task: BatchTask?
    /// The lease that is being written, or is.
    @BoxedIfAny var lease: TaskLease?
    /// Whether the results log has the task, and the broker does not wait for this delivery any more.
    var isLeased = false
    /// Whether somebody is just settling it.
    var isClosing = false
    /// Ends the attempt that is made, or was.
    var cancel: (@Sendable () -> Void)?
    /// Whether a permit is owed to it, because its own could not be renewed.
    var lacksPermit = false
    /// Later deliveries of the same task, which came while it ran and end as it does.
    var redeliveries: [Redelivery] = []

    struct Redelivery: Sendable {
        var item: InboxItem
        let since: ContinuousClock.Instant
    }

    init(_ item: InboxItem, since: ContinuousClock.Instant = .now) {
        self.item = item
        self.since = since
        self.permitSince = since
    }

    /// Whether the broker would soon take it, or a later delivery of the same task, back.
    func isDue(_ limit: ContinuousClock.Instant) -> Bool {
        (!isLeased && since < limit) || redeliveries.contains { $0.since < limit }
    }

    /// The deliveries that the broker waits for.
    var owed: [Delivery.Token] {
        var owed: [Delivery.Token] = []
        addOwed(to: &owed)
        return owed
    }

    /// Adds the deliveries that the broker waits for.
    func addOwed(to owed: inout [Delivery.Token]) {
        if !isLeased { owed.append(item.token) }
        for redelivery in redeliveries { owed.append(redelivery.item.token) }
    }

    /// Adds the permits that go with it, and the batches they are of.
    func addPermits(to permits: inout [(batch: Name?, permit: Delivery)]) {
        if let permit = item.permit { permits.append((item.batch, permit)) }
        for redelivery in redeliveries {
            if let permit = redelivery.item.permit { permits.append((redelivery.item.batch, permit)) }
        }
    }
}
