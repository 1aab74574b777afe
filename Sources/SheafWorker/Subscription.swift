import SheafBatches
import SheafBroker
import SheafCore

/// A consumer of one batch's queue.
struct Subscription: Sendable {
    let key: QueueKey
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

    /// The consumers without which it still brings so many: the largest, so that they are few; all, where even the rest brings
    /// far too many.
    func surplus(beyond count: Int) -> [Subscription] {
        var (rest, surplus) = (prefetch, [Subscription]())
        for subscription in subscriptions.values.sorted(by: { $0.prefetch > $1.prefetch }) {
            if rest - subscription.prefetch < count { break }
            surplus.append(subscription)
            rest -= subscription.prefetch
        }
        return rest >= FetchPlan.excess * count ? Array(subscriptions.values) : surplus
    }

    /// Whether something has come lately, or it is too new to tell.
    func isBusy(_ now: ContinuousClock.Instant = .now) -> Bool {
        now - (lastDelivery ?? since) < .milliseconds(250)
    }
}
