import SheafBatches
import SheafBroker
import SheafCore
import Synchronization

/// Tasks that wait for a limit stay in the inbox, not in a slot, so that they keep no others from running.
extension TaskInbox {
    /// Keeps the tasks of a limit here until it is opened; ``admit(_:)`` lets single ones go.
    func close(_ key: RateLimitKey) {
        state.withLock { _ = $0.closed.insert(key) }
    }

    /// Lets all tasks of a limit go as slots are free.
    func open(_ key: RateLimitKey) {
        let isNew = state.withLock { $0.closed.remove(key) != nil }
        if isNew { put([]) }
    }

    /// Waits until a task of a limit is here and a slot is free for it; false once the inbox is closed.
    func demand(of key: RateLimitKey) async -> Bool {
        await withCheckedContinuation { continuation in
            let answer: Bool? = state.withLock { state in
                if state.isClosed { return false }
                if state.hasDemand(of: key) { return true }
                state.demands[key] = continuation
                return nil
            }
            if let answer { continuation.resume(returning: answer) }
        }
    }

    /// Whether a task of a limit is here and a slot is free for it.
    func hasDemand(of key: RateLimitKey) -> Bool { state.withLock { $0.hasDemand(of: key) } }

    /// Gives a slot the next task of a limit, where there are both.
    func admit(_ key: RateLimitKey) {
        let ready: (CheckedContinuation<InboxItem?, Never>, InboxItem)? = state.withLock { state in
            guard !state.slots.isEmpty, let item = state.take(where: { $0.limit == key }) else { return nil }
            return (state.slots.removeFirst(), item)
        }
        if let (slot, item) = ready { slot.resume(returning: item) }
    }

    /// Puts a task back to where it was taken from, as the first of its batch.
    func putBack(_ item: InboxItem) {
        state.withLock { state in
            if state.queues[item.batch] == nil { state.rotation.append(item.batch) }
            state.queues[item.batch] = [item] + (state.queues[item.batch] ?? [])
        }
        // A limit that was opened meanwhile, or that lets one go just now, has not seen it.
        put([])
    }

    /// How many tasks of a batch wait for a closed limit, and for which.
    var limited: [Name: (key: RateLimitKey, tasks: Int)] {
        state.withLock { state in
            var limited: [Name: (key: RateLimitKey, tasks: Int)] = [:]
            for (batch, items) in state.queues {
                guard let batch, let key = items.first?.limit, state.closed.contains(key) else { continue }
                limited[batch] = (key, items.count)
            }
            return limited
        }
    }

    /// How many tasks of a batch are here.
    func count(of batch: Name) -> Int { state.withLock { $0.queues[batch]?.count ?? 0 } }
}

extension TaskInbox.State {
    /// Whether a task of a limit is the next of its batch, and a slot is free that nothing is promised to.
    func hasDemand(of key: RateLimitKey) -> Bool {
        slots.count > promised && queues.values.contains { $0.first?.limit == key }
    }

    /// Takes out those who waited for a task and a slot that are both here now.
    mutating func metDemands() -> [CheckedContinuation<Bool, Never>] {
        if demands.isEmpty { return [] }
        return demands.keys.filter(hasDemand).compactMap { demands.removeValue(forKey: $0) }
    }
}
