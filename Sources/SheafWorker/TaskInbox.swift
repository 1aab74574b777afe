import SheafBatches
import SheafBroker
import SheafCore
import Synchronization

/// Holds deliveries until a slot is free, and hands them out batch by batch in turn.
///
/// It accepts everything: the prefetch of the consumers bounds what comes in. Tasks that wait for a rate limit stay
/// here instead of in a slot, so that they keep no others from running.
final class TaskInbox: Sendable {
    private struct State {
        var queues: [Name?: ArraySlice<TaskDelivery>] = [:]
        var rotation: [Name?] = []
        /// The rate limits whose tasks stay here until they are admitted one by one.
        var closed: Set<RateLimitKey> = []
        /// The gates that wait for a task of their limit and a free slot.
        var demands: [RateLimitKey: CheckedContinuation<Bool, Never>] = [:]
        var slots: [CheckedContinuation<TaskDelivery?, Never>] = []
        var pulls: [CheckedContinuation<Bool, Never>] = []
        var promised = 0
        /// How often a slot found nothing and waited.
        var waits = 0
        var isClosed = false

        /// Removes and returns the next task that may begin, of the batch whose turn it is.
        mutating func take() -> TaskDelivery? {
            let closed = closed
            return take { Self.mayGo($0, closed) }
        }

        /// Whether the limit of a task, if it has one, is open.
        func mayGo(_ item: TaskDelivery) -> Bool { Self.mayGo(item, closed) }

        private static func mayGo(_ item: TaskDelivery, _ closed: Set<RateLimitKey>) -> Bool {
            item.limit.map { !closed.contains($0) } ?? true
        }

        /// Removes and returns the next task that satisfies a condition; of each batch only the first is considered.
        mutating func take(where condition: (TaskDelivery) -> Bool) -> TaskDelivery? {
            guard let turn = rotation.firstIndex(where: { queues[$0]?.first.map(condition) == true }) else {
                return nil
            }
            let batch = rotation.remove(at: turn)
            let item = queues[batch]?.popFirst()
            if queues[batch]?.isEmpty == true { queues[batch] = nil } else { rotation.append(batch) }
            return item
        }

        /// Whether a task of a limit is the next of its batch, and a slot is free that nothing is promised to.
        func hasDemand(of key: RateLimitKey) -> Bool {
            slots.count > promised && queues.values.contains { $0.first?.limit == key }
        }

        /// Removes and returns the gates that waited for a task and a slot, if both are here now.
        mutating func metDemands() -> [CheckedContinuation<Bool, Never>] {
            if demands.isEmpty { return [] }
            return demands.keys.filter(hasDemand).compactMap { demands.removeValue(forKey: $0) }
        }
    }

    private let state = Mutex(State())

    /// Adds deliveries, some of which may fulfil a promise of ``demand()``.
    func put(_ items: [TaskDelivery], fulfilling promised: Int = 0) {
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
            var ready: [(CheckedContinuation<TaskDelivery?, Never>, TaskDelivery)] = []
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

    /// Waits for a delivery; returns nil once the inbox is closed and empty.
    func next() async -> TaskDelivery? {
        // While tasks are short, something is usually there, and no slot has to wait.
        if let item = state.withLock({ $0.take() }) { return item }
        return await withCheckedContinuation { continuation in
            enum Step {
                case give(TaskDelivery?)
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

    /// Removes and returns tasks of a batch that may begin together with one that a slot has taken.
    ///
    /// - Parameters:
    ///   - batch: The batch.
    ///   - count: The most tasks to return.
    ///   - bytes: The most bytes that their records may have together.
    ///   - onlyBatch: Whether to return none if another batch waits for its turn.
    /// - Returns: The tasks; none if another slot is free for them.
    func takeMore(of batch: Name?, atMost count: Int, bytes: Int, onlyBatch: Bool) -> [TaskDelivery] {
        state.withLock { state in
            guard state.slots.isEmpty, !onlyBatch || state.rotation.count == 1, var waiting = state.queues[batch] else {
                return []
            }
            // So that removing items does not copy the rest.
            state.queues[batch] = nil
            var (taken, size): ([TaskDelivery], Int) = ([], 0)
            while taken.count < count, let item = waiting.first, state.mayGo(item) {
                size += item.bodySize
                if size > bytes { break }
                taken.append(item)
                waiting.removeFirst()
            }
            state.queues[batch] = waiting.isEmpty ? nil : waiting
            if waiting.isEmpty { state.rotation.removeAll { $0 == batch } }
            return taken
        }
    }

    /// Waits until a slot is free that nothing is promised to, and promises it a delivery.
    ///
    /// Each true has to be followed by one ``put(_:fulfilling:)``, with no items if there was nothing to fetch.
    ///
    /// - Returns: False once the inbox is closed.
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

    /// Removes and returns the waiting tasks of a batch.
    func drain(_ batch: Name?) -> [TaskDelivery] {
        state.withLock { state in
            state.rotation.removeAll { $0 == batch }
            return Array(state.queues.removeValue(forKey: batch) ?? [])
        }
    }

    /// Removes and returns the waiting tasks that satisfy a condition.
    func drain(where condition: (TaskDelivery) -> Bool) -> [TaskDelivery] {
        state.withLock { state in
            var drained: [TaskDelivery] = []
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

    /// Removes and returns everything that waits.
    func drainAll() -> [TaskDelivery] {
        state.withLock { state in
            defer {
                state.queues = [:]
                state.rotation = []
            }
            return state.queues.values.flatMap { $0 }
        }
    }

    /// Ends all waiting; slots get nil once the inbox is empty.
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

    // MARK: Rate limits

    /// Keeps the tasks of a limit here until it is opened; ``admit(_:)`` hands out single ones.
    func close(_ key: RateLimitKey) {
        state.withLock { _ = $0.closed.insert(key) }
    }

    /// Hands out all tasks of a limit as slots become free.
    func open(_ key: RateLimitKey) {
        let isNew = state.withLock { $0.closed.remove(key) != nil }
        if isNew { put([]) }
    }

    /// Waits until a task of a limit is here and a slot is free for it; returns false once the inbox is closed.
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

    /// Hands the next task of a limit to a slot, if there are both.
    func admit(_ key: RateLimitKey) {
        let ready: (CheckedContinuation<TaskDelivery?, Never>, TaskDelivery)? = state.withLock { state in
            guard !state.slots.isEmpty, let item = state.take(where: { $0.limit == key }) else { return nil }
            return (state.slots.removeFirst(), item)
        }
        if let (slot, item) = ready { slot.resume(returning: item) }
    }

    /// Puts a task back to the front of its batch.
    func putBack(_ item: TaskDelivery) {
        state.withLock { state in
            if state.queues[item.batch] == nil { state.rotation.append(item.batch) }
            state.queues[item.batch] = [item] + (state.queues[item.batch] ?? [])
        }
        // A limit that was opened meanwhile, or that is just admitting a task, has not seen this one.
        put([])
    }

    /// How many tasks of each batch wait for a closed limit, and for which.
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

/// One of the task queues of a batch.
struct QueueKey: Sendable, Hashable {
    let batch: Name
    let queue: TaskQueue

    init(batch: Name, queue: TaskQueue) { (self.batch, self.queue) = (batch, queue) }

    init(batch: Name, generation: Int) { self.init(batch: batch, queue: .generation(generation)) }
}

/// Identifies a task and the generation it runs for.
struct TaskKey: Sendable, Hashable {
    let batch: Name
    let index: Int
    let generation: Int

    init(batch: Name, index: Int, generation: Int = 0) {
        self.batch = batch
        self.index = index
        self.generation = generation
    }

    init(_ task: BatchTask) { self.init(batch: task.batch, index: task.index, generation: task.generation) }
}
