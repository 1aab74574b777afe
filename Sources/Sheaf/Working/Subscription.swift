import SheafBroker
import SheafCore

/// A consumer of one batch's queue.
struct Subscription: Sendable {
    let batch: Name
    let consumer: any QueueConsumer
    let prefetch: Int
    /// Tells it from an earlier one of the same batch.
    let number: Int
    var lastDelivery: ContinuousClock.Instant?
    let since = ContinuousClock.now

    /// Whether something has come lately, or it is too new to tell.
    func isBusy(_ now: ContinuousClock.Instant = .now) -> Bool {
        now - (lastDelivery ?? since) < .milliseconds(250)
    }
}
