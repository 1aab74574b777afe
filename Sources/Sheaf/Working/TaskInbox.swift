import SheafBroker
import SheafCore
import Synchronization

/// Holds deliveries until a slot is free, and gives them out batch by batch in turn.
///
/// It takes what it is given: what comes in is bounded by the prefetch of the consumers.
final class TaskInbox: Sendable {
    private struct State {
        var queues: [Name?: ArraySlice<InboxItem>] = [:]
        var rotation: [Name?] = []
        var slots: [CheckedContinuation<InboxItem?, Never>] = []
        var pulls: [CheckedContinuation<Bool, Never>] = []
        var promised = 0
        var isClosed = false

        var queued: Int { queues.values.reduce(0) { $0 + $1.count } }

        mutating func take() -> InboxItem? {
            guard let batch = rotation.first, let item = queues[batch]?.popFirst() else { return nil }
            rotation.removeFirst()
            if queues[batch]?.isEmpty == true { queues[batch] = nil } else { rotation.append(batch) }
            return item
        }
    }

    private let state = Mutex(State())

    /// Adds deliveries; those that were promised to a demand fulfil it.
    func put(_ items: [InboxItem], fulfilling promised: Int = 0) {
        let ready: [(CheckedContinuation<InboxItem?, Never>, InboxItem)] = state.withLock { state in
            state.promised -= promised
            for item in items {
                if state.queues[item.batch] == nil {
                    state.queues[item.batch] = []
                    state.rotation.append(item.batch)
                }
                state.queues[item.batch]?.append(item)
            }
            var ready: [(CheckedContinuation<InboxItem?, Never>, InboxItem)] = []
            while !state.slots.isEmpty, let item = state.take() { ready.append((state.slots.removeFirst(), item)) }
            return ready
        }
        for (slot, item) in ready { slot.resume(returning: item) }
    }

    /// Waits for a delivery; nil once the inbox is closed.
    func next() async -> InboxItem? {
        await withCheckedContinuation { continuation in
            enum Step {
                case give(InboxItem?)
                case wait(CheckedContinuation<Bool, Never>?)
            }
            let step: Step = state.withLock { state in
                if let item = state.take() { return .give(item) }
                if state.isClosed { return .give(nil) }
                state.slots.append(continuation)
                if state.slots.count > state.promised, !state.pulls.isEmpty {
                    state.promised += 1
                    return .wait(state.pulls.removeFirst())
                }
                return .wait(nil)
            }
            switch step {
            case .give(let item): continuation.resume(returning: item)
            case .wait(let pull): pull?.resume(returning: true)
            }
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
            }
            return (state.slots, state.pulls)
        }
        for slot in slots { slot.resume(returning: nil) }
        for pull in pulls { pull.resume(returning: false) }
    }
}
