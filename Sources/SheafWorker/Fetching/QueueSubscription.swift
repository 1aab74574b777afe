import SheafBroker

/// The consumers that a worker has on one task queue, and what keeps it from having any.
struct QueueSubscription: Sendable {
    typealias Instant = ContinuousClock.Instant

    /// One consumer of the queue.
    struct Consumer: Sendable {
        let queue: QueueKey
        let consumer: any QueueConsumer
        let prefetch: Int
        let number: Int
    }

    /// Errors because of which nothing can be taken from the queue for now.
    private struct Trouble {
        var since: Instant
        var error: BrokerError?
        var isReported = false
    }

    private var consumers: [Int: Consumer] = [:]
    private var lastDelivery: Instant?
    private var since: Instant
    private var trouble: Trouble?

    init(now: Instant) { since = now }

    // MARK: Consumers

    /// Whether there are consumers.
    var isConsuming: Bool { !consumers.isEmpty }

    /// Whether nothing is known of the queue: it has no consumers and no trouble.
    var isBlank: Bool { consumers.isEmpty && trouble == nil }

    /// How many unsettled deliveries its consumers may have together.
    var prefetch: Int { consumers.values.reduce(0) { $0 + $1.prefetch } }

    /// Adds a consumer, and returns whether reported trouble is over by that.
    mutating func add(_ consumer: Consumer, now: Instant) -> Bool {
        if consumers.isEmpty { (since, lastDelivery) = (now, nil) }
        consumers[consumer.number] = consumer
        return endTrouble()
    }

    /// Removes a consumer; returns false if it was removed before.
    mutating func remove(_ number: Int) -> Bool { consumers.removeValue(forKey: number) != nil }

    /// Removes and returns all consumers.
    mutating func removeAll() -> [Consumer] {
        defer { consumers = [:] }
        return Array(consumers.values)
    }

    /// Removes and returns the consumers that are not needed for a prefetch.
    ///
    /// The largest, so that they are few; all, if even the rest brings far too many.
    mutating func removeSurplus(beyond count: Int) -> [Consumer] {
        var (rest, surplus) = (prefetch, [Consumer]())
        for consumer in consumers.values.sorted(by: { $0.prefetch > $1.prefetch }) {
            if rest - consumer.prefetch < count { break }
            surplus.append(consumer)
            rest -= consumer.prefetch
        }
        if rest >= PrefetchController.excess * count { return removeAll() }
        for consumer in surplus { consumers[consumer.number] = nil }
        return surplus
    }

    /// Records a delivery.
    mutating func noteDelivery(now: Instant) { lastDelivery = now }

    /// Whether something has come lately, or the consumers are too new to tell.
    func isBusy(within time: Duration, now: Instant) -> Bool { now - (lastDelivery ?? since) < time }

    // MARK: Trouble

    /// Records that nothing can be taken from the queue for now; nil stands for a call without an answer yet.
    mutating func noteTrouble(_ error: BrokerError?, now: Instant) {
        var trouble = self.trouble ?? Trouble(since: now)
        trouble.error = error ?? trouble.error
        // Without any connection, the queue is not the cause.
        if error?.code == .unreachable { trouble.since = now }
        self.trouble = trouble
    }

    /// Ends the trouble, and returns whether it had been reported.
    mutating func endTrouble() -> Bool {
        defer { trouble = nil }
        return trouble?.isReported ?? false
    }

    /// Returns what keeps the queue from delivering, once, when that has lasted.
    mutating func brokenReason(after patience: Duration, now: Instant) -> String? {
        guard let trouble, !trouble.isReported, consumers.isEmpty, now - trouble.since > patience else { return nil }
        self.trouble?.isReported = true
        return trouble.error.map { "\($0)" } ?? "the broker does not answer"
    }
}
