import SheafBroker
import SheafCore

extension TaskFetcher {
    /// While nothing else is held, takes a task that came back too often, and runs it alone.
    func takeSuspects() async throws {
        while true {
            try await Task.sleep(for: .seconds(1))
            guard state.idleTime > .milliseconds(300), !state.isLeaving, remaining != 0 else { continue }
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
        for batch in feeds.keys { try await drop(batch) }
        guard state.heldCount == 0, let delivery = try await client.broker.get(queue) else { return }
        let item = InboxItem(delivery: delivery, batch: nil, permit: nil)
        if let task = try? BatchTask(delivery.message), let record = journal[task.batch], record.ending == nil,
            record.cancelled == nil, !record.isRunnable
        {
            // Halted, not over: back to its own queue, where it waits with the others.
            let home = client.names.tasks(flow: task.flow, batch: task.batch, redo: task.redo)
            try await client.broker.publish(delivery.message, to: home)
            try await client.broker.settle(delivery, as: .acknowledged)
            return
        }
        state.hold([item])
        if let left = remaining { remaining = left - 1 }
        inbox.put([item])
        await state.waitUntilNothingHeld()
    }
}
