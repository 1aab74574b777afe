import SheafBroker
import SheafCore

extension TaskFetcher {
    /// Takes single tasks, each when a slot is free for it.
    func pull() async throws {
        var backoff = Backoff(first: .milliseconds(5), ceiling: .milliseconds(50))
        while await inbox.demand() {
            try Task.checkCancellation()
            isPulling = true
            let pulled = try await pullOne()
            isPulling = false
            if let item = pulled {
                backoff.reset()
                state.hold([item])
                if let left = remaining { remaining = left - 1 }
                inbox.put([item], fulfilling: 1)
            } else {
                inbox.put([], fulfilling: 1)
                // Neither a queue nor permits can be waited for without taking from them: ask again soon.
                try await backoff.pause()
            }
        }
    }

    private func pullOne() async throws -> InboxItem? {
        let records = candidates.filter(isPulled)
        pullTurn += 1
        for offset in records.indices {
            // What the consumers may still bring has the first claim on what is left before the limit.
            if isAlone || remaining.map({ $0 <= claimed }) == true { return nil }
            let record = records[(pullTurn + offset) % records.count]
            if let item = try await passing({ try await self.pullOne(of: record) }) ?? nil { return item }
            if candidates.isEmpty { return nil }
        }
        return nil
    }

    /// A permit first, then a task; a permit without a task goes back.
    private func pullOne(of record: BatchRecord) async throws -> InboxItem? {
        let queue = client.names.tasks(flow: record.flow, batch: record.id, redo: record.redo)
        do {
            var permit: Delivery?
            if record.concurrency != nil {
                permit = try await client.broker.get(client.names.permits(batch: record.id, redo: record.oldestQueue))
                if permit == nil { return nil }
            }
            if let delivery = try await client.broker.get(queue) {
                return InboxItem(delivery: delivery, batch: record.id, permit: permit)
            }
            if let permit { try await client.broker.settle(permit, as: .returned) }
            return nil
        } catch let error as BrokerError where error.code == .notFound {
            try await queueIsGone(record.id)
            return nil
        }
    }
}
