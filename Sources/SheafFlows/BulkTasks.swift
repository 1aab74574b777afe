package import SheafCore

/// The tasks of a bulk, each of which is loaded when it is needed: of tens of thousands, only their indices are kept.
package struct BulkTasks: Sendable {
    /// The batch of all of them.
    package let batch: Name
    /// The numbers of the tasks within their batch, by position.
    package let indices: [Int]
    /// A submission that was made by other means and has the requests of the tasks; nil for most bulks.
    package var adopted: AdoptedSubmission?
    private let load: @Sendable (Int) throws(FlowError) -> FlowTask

    /// Makes tasks that are loaded by position.
    package init(
        of batch: Name,
        indices: [Int],
        adopted: AdoptedSubmission? = nil,
        load: @escaping @Sendable (Int) throws(FlowError) -> FlowTask
    ) {
        self.batch = batch
        self.indices = indices
        self.adopted = adopted
        self.load = load
    }

    /// Makes tasks that are all in memory.
    package init(_ tasks: [FlowTask]) {
        self.init(of: tasks.first?.batch ?? "none", indices: tasks.map(\.index), adopted: tasks.first?.adopted) {
            tasks[$0]
        }
    }

    /// How many tasks there are.
    package var count: Int { indices.count }

    /// Returns the task at a position; throws if it cannot be run.
    package func task(at position: Int) throws(FlowError) -> FlowTask { try load(position) }

    /// Returns the tasks at some positions, each of them changed.
    package func selecting(_ positions: [Int], _ change: @escaping @Sendable (FlowTask) -> FlowTask) -> BulkTasks {
        let load = load
        return BulkTasks(of: batch, indices: positions.map { indices[$0] }, adopted: adopted) {
            position throws(FlowError) in change(try load(positions[position]))
        }
    }
}
