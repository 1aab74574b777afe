import SheafBatches
import SheafBroker
import SheafCore

/// What was fetched ahead of tasks that turn out to be slow.
extension TaskFetcher {
    /// How long a delivery may be on its way.
    private static let arrival = Duration.milliseconds(50)

    /// Ends consumers of a queue that bring too much, and gives back what others can begin sooner.
    ///
    /// As long as something waits in the queue, others have enough to do.
    func share(_ key: QueueKey, keeping prefetch: Int) async throws {
        guard let queue = queue(key) else { return }
        if state.heldCount(of: key) > 0, !plan.lastsLong(claimed) || state.isStalled { return }
        let status = try await passing { try await client.broker.queueStatus(queue) }
        guard let ready = status??.ready, ready == 0 else { return }
        // What is on its way to a consumer when it ends, the broker takes back and counts as if a worker was lost.
        try await Task.sleep(for: Self.arrival)
        guard mayRun(key.batch), let feed = feeds[key] else { return }
        let surplus = feed.surplus(beyond: prefetch)
        for subscription in surplus { feeds[key]?.subscriptions[subscription.number] = nil }
        if feeds[key]?.subscriptions.isEmpty == true {
            feeds[key] = nil
            // One that brings less follows.
            trigger.notify()
        }
        try await end(surplus)
        let numbers = Set(surplus.map(\.number))
        // Published again, a task begins anew: one that may have ended its worker must not.
        let items = inbox.drain { item in
            item.delivery.earlierDeliveries == 0 && item.subscription.map(numbers.contains) == true
        }
        try await giveBackUnstarted(items, publishing: true)
    }
}
