import Logging
import SheafBatches
import SheafBroker
import SheafCore

extension TaskFetcher {
    /// Makes the subscriptions what they should be.
    func reconcile() async throws {
        // One at a time; what has changed meanwhile triggers the next.
        if isReconciling || isAlone { return }
        isReconciling = true
        defer { isReconciling = false }
        let pushed = candidates.filter { !isPulled($0) }
        let eligible = Set(pushed.flatMap(keys))
        for key in feeds.keys where !eligible.contains(key) {
            // Near the limit no more may come, but what has come may run. Else it goes back, also where it would need a permit.
            let mayRunFreely = mayRun(key.batch) && journal[key.batch]?.maxRunning == nil && state.leasedCount == 0
            if mayRunFreely { try await unsubscribe(key) } else { try await drop(key.batch) }
        }
        // What waits for a limit would wait on, though nobody wants it any more.
        try await giveBackUnstarted(inbox.drain { item in item.batch.map { !mayRun($0) } ?? false })
        let chosen = try await choose(pushed.flatMap(keys).filter(isUsable))
        // What is not to be consumed from just now is in no trouble.
        for (key, trouble) in troubles where trouble.missingSince == nil && !chosen.contains(key) {
            troubles[key] = nil
        }
        let holding = state.heldKeys
        let busy = Set(
            chosen.filter { key in
                chosen.count == 1 || (!isPaused(key) && (holding.contains(key) || feeds[key]?.isBusy() != false))
            }
        )
        for key in chosen {
            // It keeps what it has, and the others share the slots meanwhile.
            if isPaused(key), feeds[key] != nil { continue }
            let wanted = plan.prefetch(isBusy: busy.contains(key), busyCount: busy.count)
            let prefetch = remaining.map { min(wanted, max(1, $0 / 4 / busy.count)) } ?? wanted
            let current = feeds[key]?.prefetch ?? 0
            if plan.isWorthRaising(from: current, to: prefetch) {
                // Another consumer beside those there are: ending one makes the broker take back what is on its way to it.
                try await subscribe(key, prefetch: prefetch - current)
            } else if plan.isWorthLowering(from: current, to: wanted) {
                try await share(key, keeping: wanted)
            } else if plan.isWorthLowering(from: current, to: prefetch) {
                // The limit of this worker is near, and what has come is run here.
                try await unsubscribe(key)
                try await subscribe(key, prefetch: prefetch)
            }
        }
    }

    /// The queues to consume from: the oldest few, and of more than that those that have something to do.
    private func choose(_ keys: [QueueKey]) async throws -> [QueueKey] {
        let limit = plan.maximumSubscriptions
        if keys.count <= limit { return keys }
        let holding = state.heldKeys
        func isBusy(_ key: QueueKey) -> Bool { holding.contains(key) || feeds[key]?.isBusy() == true }
        var chosen = Array(keys.filter(isBusy).prefix(limit))
        for key in keys where chosen.count < limit && !isBusy(key) {
            guard let queue = queue(key) else { continue }
            let status = try await passing { try await client.broker.queueStatus(queue) }
            if let ready = status??.ready, ready > 0 { chosen.append(key) }
        }
        let kept = Set(chosen)
        for key in feeds.keys where !kept.contains(key) {
            try await unsubscribe(key)
            try await giveBackUnstarted(of: key)
        }
        return chosen
    }

    /// Whether the service that a batch's tasks call is left alone for now.
    private func isPaused(_ key: QueueKey) -> Bool {
        journal[key.batch].flatMap { limits[$0.flow] }.map(book.isPaused) ?? false
    }

    private func subscribe(_ key: QueueKey, prefetch: Int) async throws {
        guard let queue = queue(key) else { return }
        // Noted before, so that a call that hangs is seen too.
        if feeds[key] == nil { noteTrouble(with: key, nil) }
        claimed += prefetch
        var isConsuming = false
        defer { if !isConsuming { claimed -= prefetch } }
        do {
            let consumer = try await client.broker.consume(queue, prefetch: prefetch)
            isConsuming = true
            nextNumber += 1
            let subscription = Subscription(key: key, consumer: consumer, prefetch: prefetch, number: nextNumber)
            feeds[key, default: BatchFeed()].subscriptions[nextNumber] = subscription
            pumps[nextNumber] = Task { try await self.pump(subscription) }
            noteService(of: key)
        } catch let error as BrokerError {
            if error.code == .notFound {
                try await queueIsMissing(queue, of: key)
            } else if error.isRetryable {
                noteTrouble(with: key, error)
                complain(of: error)
                try await Task.sleep(for: Self.tick)
            } else {
                throw error
            }
        }
    }

    /// Moves what a consumer brings into the inbox.
    private func pump(_ subscription: Subscription) async throws {
        let key = subscription.key
        var failure: BrokerError?
        do {
            while let deliveries = try await subscription.consumer.next() { receive(deliveries, subscription) }
        } catch let error as BrokerError {
            failure = error
        }
        // Ended by this worker itself, it is not there any more.
        guard feeds[key]?.subscriptions.removeValue(forKey: subscription.number) != nil else { return }
        claimed -= subscription.prefetch
        if feeds[key]?.subscriptions.isEmpty == true { feeds[key] = nil }
        pumps[subscription.number] = nil
        let error = failure ?? BrokerError(.connectionLost, "the consumer ended without a word")
        if error.code == .queueGone || error.code == .notFound {
            if let queue = queue(key) { try await queueIsMissing(queue, of: key) }
        } else {
            forget(subscription)
            noteTrouble(with: key, error)
            client.logger.warning("batch \(key.batch): \(error); consuming begins again")
        }
        trigger.notify()
    }

    /// Lets go of what has not begun of a lost consumer's deliveries: the broker has taken them back.
    private func forget(_ subscription: Subscription) {
        let lost = inbox.drain { $0.subscription == subscription.number }
        if let left = remaining { remaining = left + lost.count }
        state.release(lost.map(\.delivery.token))
    }

    func receive(_ deliveries: [Delivery], _ subscription: Subscription) {
        let key = subscription.key
        let limit = journal[key.batch].flatMap { limits[$0.flow] }
        let items = deliveries.map {
            InboxItem(
                delivery: $0,
                batch: key.batch,
                generation: key.generation,
                limit: limit,
                subscription: subscription.number
            )
        }
        state.hold(items)
        if let feed = feeds[key] {
            feeds[key]?.lastDelivery = .now
            if !feed.isBusy() { trigger.notify() }
        }
        if let left = remaining { remaining = left - items.count }
        inbox.put(items)
    }

    func unsubscribe(_ key: QueueKey) async throws {
        guard let feed = feeds.removeValue(forKey: key) else { return }
        try await end(Array(feed.subscriptions.values))
    }

    /// Ends consumers which are not among those of their queue any more, and takes what they still bring.
    func end(_ subscriptions: [Subscription]) async throws {
        for subscription in subscriptions {
            let rest = try await passing { try await subscription.consumer.cancel() } ?? []
            receive(rest, subscription)
            try? await pumps.removeValue(forKey: subscription.number)?.value
            claimed -= subscription.prefetch
        }
    }
}
