import SheafBatches
import SheafBroker
import SheafCore

extension TaskFetcher {
    /// Ends the consumers of a batch and gives back what has not begun.
    func drop(_ batch: Name) async throws {
        let keys = feeds.keys.filter { $0.batch == batch }
        if keys.isEmpty { return }
        for key in keys { try await unsubscribe(key) }
        try await giveBackUnstarted(inbox.drain(batch))
    }

    /// Gives back what waits of one queue, after its consumers have ended.
    func giveBackUnstarted(of key: QueueKey) async throws {
        try await giveBackUnstarted(inbox.drain { $0.key == key })
    }

    /// Gives back deliveries that must not be run now, after their consumer has ended, so that they do not come right back.
    func giveBack(_ items: [InboxItem]) async throws {
        for batch in Set(items.compactMap(\.batch)) { try await drop(batch) }
        try await giveBackUnstarted(items)
    }

    /// Ends all consumers and gives back all that has not begun; for the end of the worker.
    func stop() async throws {
        for batch in Set(feeds.keys.map(\.batch)) { try await drop(batch) }
        try await giveBackUnstarted(inbox.drainAll())
    }

    /// Puts deliveries that have waited so long that the broker would take them back to the end of their queues.
    func giveBackStale(before limit: ContinuousClock.Instant) async throws {
        let stale = state.unstarted(before: limit)
        if stale.isEmpty { return }
        try await giveBackUnstarted(inbox.drain { stale.contains($0.token) }, publishing: true)
    }

    func giveBackUnstarted(_ items: [InboxItem], publishing: Bool = false) async throws {
        if let left = remaining { remaining = left + items.count }
        func isOver(_ item: InboxItem) -> Bool {
            guard let batch = item.batch else { return false }
            guard let record = journal[batch] else { return true }
            return record.cancelled != nil || record.ending != nil
        }
        let returned = items.filter { !isOver($0) }
        state.note { $0.returned += returned.count }
        try await writer.giveBack(returned, publishing: publishing)
        try await writer.settle(items.filter(isOver), as: .acknowledged)
    }
}
