import SheafCore
import Synchronization

/// The bulks that are being gathered: the slot that gets the first task of one waits for more, and the others join it.
final class BulkGathering: Sendable {
    /// The most tasks that are held unacknowledged for a bulk: if the worker is lost, that counts for each of them.
    static let window = 500
    /// The most bytes of tasks that are taken for a bulk at a time.
    static let maximumBytes = 4 << 20

    /// How many tasks one bulk can have: a tenth for each worker that was lost with them before, and in the end one.
    ///
    /// A task that ends its workers is thus found after a few losses.
    static func limit(_ maximum: Int, afterLosing bulks: Int) -> Int {
        bulks >= TaskLease.uncountedLosses ? 1 : (0..<bulks).reduce(max(1, maximum)) { limit, _ in max(1, limit / 10) }
    }

    /// A bulk that is being gathered.
    final class Gathering: Sendable {
        private struct State {
            /// How many tasks have joined, or have room kept for them.
            var count = 0
            /// Those that were not taken yet.
            var arrived: [Assignment] = []
            var isClosed = false
        }

        let batch: Name
        let limit: Int
        private let lostBulks: Int
        private let state = Mutex(State())

        init(_ first: Assignment, limit: Int) {
            batch = first.task.batch
            lostBulks = first.lostBulks
            self.limit = BulkGathering.limit(limit, afterLosing: lostBulks)
            _ = add(first)
        }

        /// Adds a task that another slot was given; returns false if the bulk is full or closed, or if the task and the
        /// first one had different numbers of lost workers.
        func add(_ assignment: Assignment) -> Bool {
            if assignment.lostBulks != lostBulks { return false }
            return state.withLock { state in
                if state.isClosed || state.count >= limit { return false }
                state.count += 1
                state.arrived.append(assignment)
                return true
            }
        }

        /// Keeps room for tasks that are being fetched, and returns for how many.
        func reserve(_ wanted: Int) -> Int {
            state.withLock { state in
                let count = min(wanted, limit - state.count)
                state.count += count
                return count
            }
        }

        /// Gives up room that was kept for tasks that did not come.
        func unreserve(_ count: Int) { state.withLock { $0.count -= count } }

        /// Returns the tasks that were added since the last call.
        func takeArrived() -> [Assignment] {
            state.withLock { state in
                defer { state.arrived = [] }
                return state.arrived
            }
        }

        /// Whether there is no more room.
        var isFull: Bool { state.withLock { $0.count >= limit } }

        /// Refuses more tasks from now on.
        func close() { state.withLock { $0.isClosed = true } }
    }

    private let open = Mutex<[Name: Gathering]>([:])
    private let occupied = Atomic(0)

    /// The bulks that slots take over at the moment, or run after that.
    private let adopted = Mutex<Set<BulkHandOver>>([])

    /// Lets one slot take a bulk over; returns false if another slot does, for which the broker delivered a copy.
    func claim(_ handOver: BulkHandOver) -> Bool { adopted.withLock { $0.insert(handOver).inserted } }

    /// Ends a claim.
    func unclaim(_ handOver: BulkHandOver) { adopted.withLock { _ = $0.remove(handOver) } }

    /// How many slots bulks occupy.
    var running: Int { occupied.load(ordering: .relaxed) }

    /// Records that more, or fewer, slots are occupied.
    func occupy(_ change: Int) { occupied.wrappingAdd(change, ordering: .relaxed) }

    /// Lets a task join the bulk of its batch that is being gathered.
    ///
    /// - Returns: Nil if it has joined; otherwise a new bulk with this task, which the caller has to gather.
    func join(_ assignment: Assignment, limit: Int) -> Gathering? {
        let batch = assignment.task.batch
        return open.withLock { open in
            if open[batch]?.add(assignment) == true { return nil }
            let gathering = Gathering(assignment, limit: limit)
            open[batch] = gathering
            return gathering
        }
    }

    /// Ends gathering a bulk.
    func close(_ gathering: Gathering) {
        open.withLock { open in
            gathering.close()
            if open[gathering.batch] === gathering { open[gathering.batch] = nil }
        }
    }

    /// Whether a bulk of a batch is being gathered.
    func isOpen(for batch: Name) -> Bool { open.withLock { $0[batch] != nil } }

    /// How many tasks of a batch are to be fetched at a time for the bulk that is being gathered; 0 if none is.
    func window(of batch: Name) -> Int { open.withLock { $0[batch].map { min($0.limit, Self.window) } ?? 0 } }
}
