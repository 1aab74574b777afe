import SheafCore
import SheafFlows

/// The tasks of a bulk that have no result yet.
final class OpenTasks {
    typealias Ended = @Sendable (Int, Result<FlowOutput, FlowError>) async -> Void

    private let tasks: BulkTasks
    private let ended: Ended
    /// The positions of the tasks without a result, by index.
    private var open: [Int: Int]
    /// The indices of the tasks by the ids of their records, as an adopted submission names its requests.
    private lazy var indices = {
        var indices: [String: Int] = [:]
        for (position, index) in tasks.indices.enumerated() {
            guard let id = try? tasks.task(at: position).record.id, indices[id] == nil else { continue }
            indices[id] = index
        }
        return indices
    }()

    init(_ tasks: BulkTasks, _ ended: @escaping Ended) {
        self.tasks = tasks
        self.ended = ended
        open = Dictionary(tasks.indices.enumerated().map { ($1, $0) }) { first, _ in first }
    }

    /// How many tasks there were at first.
    var count: Int { tasks.count }
    var isEmpty: Bool { open.isEmpty }
    /// The submission that was made by other means and has the requests; nil if there is none.
    var adopted: AdoptedSubmission? { tasks.adopted }

    /// The batch of the tasks.
    var batch: Name { tasks.batch }

    /// Whether all tasks run again after a failure.
    var areRetries: Bool { open.values.allSatisfy { (try? tasks.task(at: $0))?.adopted?.isRetry == true } }

    /// The indices of the tasks without a result, in order.
    var waiting: [Int] { open.keys.sorted() }

    /// Whether a task has no result.
    func contains(_ index: Int) -> Bool { open[index] != nil }

    /// Returns a task without a result; throws if it cannot be run.
    func task(_ index: Int) throws(FlowError) -> FlowTask {
        guard let position = open[index] else { throw .withoutResult }
        return try tasks.task(at: position)
    }

    /// Returns the index of the task whose record has an id.
    func index(ofRecord id: String) -> Int? { indices[id] }

    /// Reports the result of a task; only the first one counts.
    func end(_ index: Int, _ result: Result<FlowOutput, FlowError>) async {
        guard let position = open.removeValue(forKey: index) else { return }
        await ended(position, result)
    }
}
