import SheafBatches
import SheafBroker
import SheafCore

extension TaskFetcher {
    /// While nothing else is held, takes a task that came back too often, and runs it alone.
    func takeSuspects() async throws {
        while true {
            try await Task.sleep(for: .seconds(1))
            guard state.idleTime > .milliseconds(300), !state.isLeaving, !state.isStalled, remaining != 0 else {
                continue
            }
            for flow in flows { try await passing { try await self.takeSuspect(of: flow) } }
        }
    }

    private func takeSuspect(of flow: Name) async throws {
        let queue = client.names.suspects(flow: flow)
        guard let status = try await client.broker.queueStatus(queue), status.ready > 0 else { return }
        // While a suspect is run, no consumer begins and no other task is fetched.
        if isReconciling || isPulling { return }
        isAlone = true
        defer {
            isAlone = false
            trigger.notify()
        }
        for batch in Set(feeds.keys.map(\.batch)) { try await drop(batch) }
        guard state.heldCount == 0, let delivery = try await client.broker.get(queue) else { return }
        let item = InboxItem(delivery: delivery, limit: limits[flow])
        state.hold([item])
        if let left = remaining { remaining = left - 1 }
        inbox.put([item])
        await state.waitUntilNothingHeld()
    }
}
