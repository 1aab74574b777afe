import SheafBatches
import SheafBroker
import SheafCore

/// Which queue of tasks is meant: that of a batch in one generation.
struct QueueKey: Sendable, Hashable {
    let batch: Name
    let generation: Int
}

/// A delivery on its way to a slot.
struct InboxItem: Sendable {
    /// What stays the same; behind one reference, since items are handed on a dozen times.
    private struct Origin {
        let delivery: Delivery
        let batch: Name?
        let generation: Int
        let limit: RateLimitKey?
        let subscription: Int?
    }

    @Boxed private var origin: Origin
    /// The permit that goes with it, where the batch is capped.
    @BoxedIfAny var permit: Delivery?

    init(
        delivery: Delivery,
        batch: Name? = nil,
        generation: Int = 0,
        permit: Delivery? = nil,
        limit: RateLimitKey? = nil,
        subscription: Int? = nil
    ) {
        origin = Origin(
            delivery: delivery,
            batch: batch,
            generation: generation,
            limit: limit,
            subscription: subscription
        )
        self.permit = permit
    }

    /// The delivery of the task.
    var delivery: Delivery { origin.delivery }
    /// Which delivery that is.
    var token: Delivery.Token { origin.delivery.token }
    /// The batch whose queue it came from, or nil for a suspect.
    var batch: Name? { origin.batch }
    /// The generation whose queue it came from.
    var generation: Int { origin.generation }
    /// The limit that its call has to keep to.
    var limit: RateLimitKey? { origin.limit }
    /// The number of the subscription that brought it, or nil where it was taken alone.
    var subscription: Int? { origin.subscription }

    /// The queue it came from, or nil for a suspect.
    var key: QueueKey? { batch.map { QueueKey(batch: $0, generation: generation) } }
}
