import SheafBroker
import SheafCore

/// A consumer of one batch's queue.
struct Subscription: Sendable {
    let key: FeedKey
    let consumer: any QueueConsumer
    let prefetch: Int
    let number: Int
}

/// All consumers that a worker has on one queue of tasks.
struct BatchFeed: Sendable {
    /// The consumers by their number.
    var subscriptions: [Int: Subscription] = [:]
    var lastDelivery: ContinuousClock.Instant?
    private let since = ContinuousClock.now

    /// How many unsettled deliveries there may be.
    var prefetch: Int { subscriptions.values.reduce(0) { $0 + $1.prefetch } }

    /// Whether something has come lately, or it is too new to tell.
    func isBusy(_ now: ContinuousClock.Instant = .now) -> Bool {
        now - (lastDelivery ?? since) < .milliseconds(250)
    }
}
