import SheafBatches
import SheafBroker
import SheafCore

extension TaskFetcher {
    /// Ends the consumers while the broker can not yet have sent more tasks than may be taken, so that none goes back.
    ///
    /// What a consumer may send is bounded by its prefetch and by what is settled; so this is asked before each settlement.
    func willSettle(_ count: Int) async throws {
        guard let left = remaining, !feeds.isEmpty else { return }
        let possible = feeds.values.reduce(count) { $0 + $1.prefetch }
        guard left < possible else { return }
        isNearLimit = true
        // While nothing is settled, what is on its way arrives, and then ending the consumers costs nobody anything.
        let (start, patience) = (ContinuousClock.now, Duration.seconds(2))
        while feeds.contains(where: { state.heldCount(of: $0.key) < $0.value.prefetch }), .now - start < patience {
            try await Task.sleep(for: .milliseconds(10))
            if .now - start > .milliseconds(200), try await nothingWaits() { break }
        }
        for key in feeds.keys { try await unsubscribe(key) }
    }

    /// Whether the queues consumed from are empty, so that no more can be on its way than has been for a while.
    private func nothingWaits() async throws -> Bool {
        for key in feeds.keys {
            guard let queue = queue(key) else { continue }
            let status = try await passing { try await client.broker.queueStatus(queue) }
            if let ready = status??.ready, ready > 0 { return false }
        }
        return true
    }
}
