import SheafBroker
import SheafCore

/// Which queue of tasks is meant: that of a batch in one generation.
struct FeedKey: Sendable, Hashable {
    let batch: Name
    let redo: Int
}

/// A delivery on its way to a slot.
struct InboxItem: Sendable {
    /// What stays the same; behind one reference, since items are handed on a dozen times.
    private struct Origin {
        let delivery: Delivery
        let batch: Name?
        let redo: Int
        let limit: LimitKey?
        let subscription: Int?
    }

    @Boxed private var origin: Origin
    /// The permit that goes with it, where the batch is capped.
    @BoxedIfAny var permit: Delivery?

    init(
        delivery: Delivery,
        batch: Name? = nil,
        redo: Int = 0,
        permit: Delivery? = nil,
        limit: LimitKey? = nil,
        subscription: Int? = nil
    ) {
        origin = Origin(delivery: delivery, batch: batch, redo: redo, limit: limit, subscription: subscription)
        self.permit = permit
    }

    /// The delivery of the task.
    var delivery: Delivery { origin.delivery }
    /// Which delivery that is.
    var token: Delivery.Token { origin.delivery.token }
    /// The batch whose queue it came from, or nil for a suspect.
    var batch: Name? { origin.batch }
    /// The generation whose queue it came from.
    var redo: Int { origin.redo }
    /// The limit that its call has to keep to.
    var limit: LimitKey? { origin.limit }
    /// The number of the subscription that brought it, or nil where it was taken alone.
    var subscription: Int? { origin.subscription }

    /// The queue it came from, or nil for a suspect.
    var key: FeedKey? { batch.map { FeedKey(batch: $0, redo: redo) } }
}
