import SheafBatches
import SheafBroker
import SheafCore
import Synchronization

/// The ledger that the parts of one worker share.
final class SharedTaskLedger: Sendable {
    private let ledger = Mutex(TaskLedger(now: .now))
    private let changed: Changes
    /// The bulks that are being gathered.
    let gathering = BulkGathering()

    /// Creates an empty ledger that notifies listeners when deliveries are released.
    init(changed: Changes) { self.changed = changed }

    /// Performs transitions, or looks at the ledger, under its lock.
    func withLock<Result: Sendable>(_ body: (inout TaskLedger) -> Result) -> Result { ledger.withLock { body(&$0) } }

    /// Forgets deliveries that are settled, and notifies listeners.
    func release(_ tokens: some Sequence<Delivery.Token>) {
        ledger.withLock { $0.release(tokens, now: .now) }
        changed.notify()
    }

    /// How many deliveries are not settled.
    var count: Int { ledger.withLock { $0.count } }
    /// How many tasks occupy slots on a lease, each one.
    var leasedCount: Int { ledger.withLock { $0.leasedCount } }
    /// How long nothing was received or settled; zero while anything is held.
    var idleTime: Duration { ledger.withLock { $0.idleTime(.now) } }

    /// Waits until everything is settled.
    func waitUntilEmpty() async {
        for await _ in changed.stream() where count == 0 { return }
    }
}

/// The last tasks whose outcomes this worker has written.
///
/// If the connection is lost after an outcome was written and before its task was acknowledged, the broker delivers
/// the task again, mostly to the worker that has just run it, which then need not run it twice.
struct RecentTasks: Sendable {
    /// How many are remembered, with about 100 bytes each.
    static let capacity = 10_000

    private var order: [TaskKey] = []
    private var next = 0
    private var keys: Set<TaskKey> = []

    /// Adds a task, and forgets the oldest if there are too many.
    mutating func insert(_ key: TaskKey) {
        guard keys.insert(key).inserted else { return }
        if order.count < Self.capacity {
            order.append(key)
        } else {
            keys.remove(order[next])
            order[next] = key
            next = (next + 1) % Self.capacity
        }
    }

    /// Whether a task is among them, in that generation.
    func contains(_ key: TaskKey) -> Bool { keys.contains(key) }
}
