import SheafBatches
import SheafBroker
import SheafCore
import Synchronization

/// Holds deliveries until a slot is free, and gives them out batch by batch in turn.
///
/// It takes what it is given: what comes in is bounded by the prefetch of the consumers.
final class TaskInbox: Sendable {
    struct State {
        var queues: [Name?: ArraySlice<InboxItem>] = [:]
        var rotation: [Name?] = []
        /// The limits whose tasks stay here until they are let go one by one.
        var closed: Set<RateLimitKey> = []
        /// Who waits for a task that a limit may let go.
        var demands: [RateLimitKey: CheckedContinuation<Bool, Never>] = [:]
        var slots: [CheckedContinuation<InboxItem?, Never>] = []
        var pulls: [CheckedContinuation<Bool, Never>] = []
        var promised = 0
        /// How often a slot has found nothing and waited.
        var waits = 0
        var isClosed = false

        var queued: Int { queues.values.reduce(0) { $0 + $1.count } }

        /// Takes out the next task that may go, of the batch whose turn it is.
        mutating func take() -> InboxItem? {
            let closed = closed
            return take { Self.mayGo($0, closed) }
        }

        /// Whether the limit of a task, if it has one, is open.
        func mayGo(_ item: InboxItem) -> Bool { Self.mayGo(item, closed) }

        private static func mayGo(_ item: InboxItem, _ closed: Set<RateLimitKey>) -> Bool {
            item.limit.map { !closed.contains($0) } ?? true
        }

        /// Takes out the next task that fulfils a condition; of a batch, only the first may.
        mutating func take(where condition: (InboxItem) -> Bool) -> InboxItem? {
            guard let turn = rotation.firstIndex(where: { queues[$0]?.first.map(condition) == true }) else {
                return nil
            }
            let batch = rotation.remove(at: turn)
            let item = queues[batch]?.popFirst()
            if queues[batch]?.isEmpty == true { queues[batch] = nil } else { rotation.append(batch) }
            return item
        }
    }

    let state = Mutex(State())

    /// Adds deliveries; those that were promised to a demand fulfil it.
    func put(_ items: [InboxItem], fulfilling promised: Int = 0) {
        let (ready, demands) = state.withLock { state in
            state.promised -= promised
            var rest = items[...]
            while let first = rest.first {
                let batch = first.batch
                let end = rest.firstIndex { $0.batch != batch } ?? rest.endIndex
                if state.queues[batch] == nil { state.rotation.append(batch) }
                state.queues[batch, default: []] += rest[..<end]
                rest = rest[end...]
            }
            var ready: [(CheckedContinuation<InboxItem?, Never>, InboxItem)] = []
            while !state.slots.isEmpty, let item = state.take() { ready.append((state.slots.removeFirst(), item)) }
            return (ready, state.metDemands())
        }
        for (slot, item) in ready { slot.resume(returning: item) }
        for demand in demands { demand.resume(returning: true) }
    }

    /// Whether a slot waits for a delivery.
    var isAwaited: Bool { state.withLock { !$0.slots.isEmpty } }

    /// How often a slot has waited for a delivery.
    var waits: Int { state.withLock { $0.waits } }

    /// Waits for a delivery; nil once the inbox is closed.
    func next() async -> InboxItem? {
        // Where something is there, which is the rule while tasks are short, nobody has to wait.
        if let item = state.withLock({ $0.take() }) { return item }
        return await withCheckedContinuation { continuation in
            enum Step {
                case give(InboxItem?)
                case wait([CheckedContinuation<Bool, Never>])
            }
            let step: Step = state.withLock { state in
                if let item = state.take() { return .give(item) }
                if state.isClosed { return .give(nil) }
                state.slots.append(continuation)
                state.waits += 1
                if state.slots.count > state.promised, !state.pulls.isEmpty {
                    state.promised += 1
                    return .wait([state.pulls.removeFirst()])
                }
                return .wait(state.metDemands())
            }
            switch step {
            case .give(let item): continuation.resume(returning: item)
            case .wait(let others): for other in others { other.resume(returning: true) }
            }
        }
    }

    /// Takes out what may go of a batch beside a task that a slot has taken; nothing where another slot is free for it, or where
    /// it is to be the only batch and another waits for its turn.
    func takeMore(of batch: Name?, atMost count: Int, bytes: Int, onlyBatch: Bool) -> [InboxItem] {
        state.withLock { state in
            guard state.slots.isEmpty, !onlyBatch || state.rotation.count == 1, var waiting = state.queues[batch] else {
                return []
            }
            // Of the rest there is no copy then.
            state.queues[batch] = nil
            var (taken, size): ([InboxItem], Int) = ([], 0)
            while taken.count < count, let item = waiting.first, state.mayGo(item) {
                size += item.delivery.message.body.count
                if size > bytes { break }
                taken.append(item)
                waiting.removeFirst()
            }
            state.queues[batch] = waiting.isEmpty ? nil : waiting
            if waiting.isEmpty { state.rotation.removeAll { $0 == batch } }
            return taken
        }
    }

    /// Waits until a slot is free that nothing is promised to, and promises it a delivery; false once closed.
    ///
    /// Each true is to be followed by one ``put(_:fulfilling:)``, with no items where there was nothing to fetch.
    func demand() async -> Bool {
        await withCheckedContinuation { continuation in
            let answer: Bool? = state.withLock { state in
                if state.isClosed { return false }
                if state.slots.count > state.promised {
                    state.promised += 1
                    return true
                }
                state.pulls.append(continuation)
                return nil
            }
            if let answer { continuation.resume(returning: answer) }
        }
    }

    /// Takes out what waits of a batch.
    func drain(_ batch: Name?) -> [InboxItem] {
        state.withLock { state in
            state.rotation.removeAll { $0 == batch }
            return Array(state.queues.removeValue(forKey: batch) ?? [])
        }
    }

    /// Takes out what waits and fulfils a condition.
    func drain(where condition: (InboxItem) -> Bool) -> [InboxItem] {
        state.withLock { state in
            var drained: [InboxItem] = []
            for (batch, items) in state.queues {
                let rest = items.filter { !condition($0) }
                if rest.count == items.count { continue }
                drained += items.filter(condition)
                if rest.isEmpty {
                    state.queues[batch] = nil
                    state.rotation.removeAll { $0 == batch }
                } else {
                    state.queues[batch] = rest[...]
                }
            }
            return drained
        }
    }

    /// Takes out everything that waits.
    func drainAll() -> [InboxItem] {
        state.withLock { state in
            defer {
                state.queues = [:]
                state.rotation = []
            }
            return state.queues.values.flatMap { $0 }
        }
    }

    /// Ends all waiting; slots come back with nil once nothing waits any more.
    func close() {
        let (slots, pulls) = state.withLock { state in
            state.isClosed = true
            defer {
                state.slots = []
                state.pulls = []
                state.demands = [:]
            }
            return (state.slots, state.pulls + state.demands.values)
        }
        for slot in slots { slot.resume(returning: nil) }
        for pull in pulls { pull.resume(returning: false) }
    }
}
