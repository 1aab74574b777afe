import SheafBatches
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

    /// How many pulled tasks of a batch may wait for its limit, which keep the permits that they hold from others.
    private static let mostPulled = 2

    private func pullOne() async throws -> InboxItem? {
        let records = candidates.filter { isPulled($0) && inbox.count(of: $0.id) < Self.mostPulled }
        pullTurn += 1
        for offset in records.indices {
            // What the consumers may still bring has the first claim on what is left before the limit.
            if isAlone || isRenewing || remaining.map({ $0 <= claimed }) == true { return nil }
            let record = records[(pullTurn + offset) % records.count]
            for key in keys(of: record) where isUsable(key) {
                if let item = try await passing({ try await self.pullOne(of: record, key) }) ?? nil { return item }
            }
            if candidates.isEmpty { return nil }
        }
        return nil
    }

    /// A permit first, then a task; a permit without a task goes back.
    private func pullOne(of record: BatchInfo, _ key: QueueKey) async throws -> InboxItem? {
        var place = client.names.tasks(flow: record.flow, batch: key.batch, generation: key.generation)
        var permit: Delivery?
        do {
            if record.maxRunning != nil {
                let tasks = place
                place = client.names.permits(batch: record.id, generation: record.oldestQueue)
                permit = try await takePermit(of: record.id, from: place)
                if permit == nil { return nil }
                place = tasks
            }
            if let delivery = try await client.broker.get(place) {
                noteService(of: key)
                return InboxItem(
                    delivery: delivery,
                    batch: key.batch,
                    generation: key.generation,
                    permit: permit,
                    limit: limits[record.flow]
                )
            }
            if let permit { try await client.broker.settle(permit, as: .returned) }
            noteService(of: key)
            return nil
        } catch let error as BrokerError {
            guard error.code == .notFound else { throw error }
            if let permit { try await client.broker.settle(permit, as: .returned) }
            try await queueIsMissing(place, of: key)
            return nil
        }
    }

    /// Gives a permit back and takes one again, without taking any for other tasks meanwhile.
    func exchange(_ old: Delivery?, isVoid: Bool, of batch: Name, in queue: String) async throws -> Delivery? {
        isRenewing = true
        defer { isRenewing = false }
        while isPulling { try await Task.sleep(for: .milliseconds(5)) }
        if let old { try await client.broker.settle(old, as: isVoid ? .acknowledged : .returned) }
        return try await takePermit(of: batch, from: queue)
    }

    /// Takes a permit that still allows something, and drops those met on the way that do not any more.
    func takePermit(of batch: Name, from queue: String) async throws -> Delivery? {
        while let delivery = try await client.broker.get(queue) {
            guard let permit = Permit(delivery.message) else {
                try await client.broker.settle(delivery, as: .acknowledged)
                continue
            }
            if let record = journal[batch], permit.change > record.permits.change { try await journal.catchUp() }
            guard let record = journal[batch], permit.change <= record.permits.change else {
                // Minted for a change that nobody has been told of yet.
                try await client.broker.settle(delivery, as: .returned)
                return nil
            }
            if record.permits.isValid(permit) { return delivery }
            try await client.broker.settle(delivery, as: .acknowledged)
        }
        return nil
    }
}
