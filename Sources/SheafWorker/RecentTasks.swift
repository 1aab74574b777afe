import SheafBatches
import SheafCore

/// The tasks whose outcomes a worker has written last, so many at most.
///
/// When a connection is lost after an outcome was written and before its task was acknowledged, the broker gives the task
/// again; mostly to the worker that has just run it, which need not do so twice.
struct RecentTasks: Sendable {
    private struct Key: Sendable, Hashable {
        let batch: Name
        let index: Int
        let generation: Int

        init(_ task: BatchTask) {
            batch = task.batch
            index = task.index
            generation = task.generation
        }
    }

    /// How many are remembered; with 100 bytes or so each.
    static let capacity = 10_000

    private var order: [Key] = []
    private var next = 0
    private var keys: Set<Key> = []

    /// Notes a task, and forgets the oldest where there are too many.
    mutating func insert(_ task: BatchTask) {
        let key = Key(task)
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
    func contains(_ task: BatchTask) -> Bool { keys.contains(Key(task)) }
}
