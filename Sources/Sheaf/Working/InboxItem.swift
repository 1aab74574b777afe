import SheafBroker
import SheafCore

/// Which queue of tasks is meant: that of a batch in one generation.
struct FeedKey: Sendable, Hashable {
    let batch: Name
    let redo: Int
}

/// A delivery on its way to a slot.
struct InboxItem: Sendable {
    /// The delivery of the task.
    @Boxed var delivery: Delivery
    /// The batch whose queue it came from, or nil for a suspect.
    var batch: Name?
    /// The generation whose queue it came from.
    var redo = 0
    /// The permit that goes with it, where the batch is capped.
    @BoxedIfAny var permit: Delivery?
    /// The limit that its call has to keep to.
    var limit: LimitKey?
    /// The number of the subscription that brought it, or nil where it was taken alone.
    var subscription: Int?

    /// The queue it came from, or nil for a suspect.
    var key: FeedKey? { batch.map { FeedKey(batch: $0, redo: redo) } }
}
