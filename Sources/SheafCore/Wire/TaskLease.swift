/// The lease of a task that runs longer than the broker waits for an acknowledgement.
///
/// The task's message has moved from its queue to the results log. If the worker's lock becomes free and the task has
/// no outcome, the aggregator returns the task to its queue, or hands over the bulk that it belongs to.
package struct TaskLease: Sendable, Hashable {
    package var id: String
    /// The task's index within its batch.
    package var index: Int
    /// The generation that the task runs for.
    package var generation: Int
    /// The id of the worker, as in the name of its lock; empty in a fold if the task is of a bulk, which names it.
    package var worker: String
    /// The offset of the lease in the results log, or 0 if it is not known.
    package var offset: Int64
    /// The id of the bulk that the task belongs to; nil if it runs by itself.
    package var bulk: String?
    /// The lease from which the task had returned to its queue; nil if there was none.
    package var predecessor: String?
    /// How many workers were lost with the task in a bulk that had begun and had no memo, up to ``uncountedLosses``.
    package var losses = 0

    /// How many such workers do not count as attempts at their tasks.
    package static let uncountedLosses = 3

    package init(id: String, index: Int, generation: Int, worker: String, offset: Int64 = 0) {
        self.id = id
        self.index = index
        self.generation = generation
        self.worker = worker
        self.offset = offset
    }

    /// Creates the lease of a task that joins a bulk.
    package init(of task: BatchTask, in bulk: String, worker: String) {
        self.init(index: task.index, generation: task.generation, in: bulk, worker: worker)
    }

    /// Creates the lease of a task that joins a bulk.
    package init(index: Int, generation: Int, in bulk: String, worker: String) {
        self.init(id: Self.derivedID(of: index, in: bulk), index: index, generation: generation, worker: worker)
        self.bulk = bulk
    }

    /// The maximum length of an id of a lease, a bulk or a worker in bytes.
    package static let longestID = 64

    static func derivedID(of index: Int, in bulk: String) -> String { "\(bulk).\(index)" }

    /// Whether the id follows from the bulk and the index.
    package var hasDerivedID: Bool { bulk.map { id == Self.derivedID(of: index, in: $0) } ?? false }

    /// The lease as a fold keeps it: the holder of a bulk may change, and predecessors have no further use.
    var stored: TaskLease {
        var lease = self
        (lease.predecessor, lease.losses) = (nil, 0)
        if bulk != nil { lease.worker = "" }
        return lease
    }

    /// Decodes the lease of a `leased` message; returns nil if the message is not one.
    package init?(_ message: Message) {
        func text(_ header: String) -> String? {
            message.string(header).flatMap { $0.utf8.count <= Self.longestID ? $0 : nil }
        }
        guard message.type == ResultMessage.leasedType, let id = text("sheaf-lease"),
            let worker = text("sheaf-worker"), let index = message.integer("sheaf-index"),
            (0..<BatchState.maximumTasks).contains(index),
            case let generation = message.integer("sheaf-generation") ?? 0,
            (0..<BatchState.maximumTasks).contains(generation)
        else { return nil }
        self.init(id: id, index: index, generation: generation, worker: worker)
        bulk = text("sheaf-bulk")
        predecessor = text(Self.returnedHeader)
        losses = Self.losses(of: message)
    }

    /// Encodes a leased task for the results log: the task's message with more headers.
    package func message(of task: BatchTask) -> Message {
        var message = task.message
        message.type = ResultMessage.leasedType
        message.headers.append(.init("sheaf-lease", .string(id)))
        message.headers.append(.init("sheaf-worker", .string(worker)))
        if let bulk { message.headers.append(.init("sheaf-bulk", .string(bulk))) }
        if let predecessor { message.headers.append(.init(Self.returnedHeader, .string(predecessor))) }
        if losses > 0 { message.headers.append(.init(Self.lossesHeader, .integer(Int64(losses)))) }
        return message
    }

    /// Decodes the task of a `leased` message; returns nil if it is invalid.
    package static func task(of message: Message) -> BatchTask? {
        var message = message
        guard message.type == ResultMessage.leasedType else { return nil }
        message.type = BatchTask.messageType
        return try? BatchTask(message)
    }

    private static let returnedHeader = "sheaf-returned"
    private static let lossesHeader = "sheaf-lost-bulks"

    /// The lease from which a task returned to its queue, according to its message.
    package static func predecessor(of message: Message) -> String? { message.string(returnedHeader) }

    /// How many workers were lost with a task in a bulk that had begun and had no memo, according to its message.
    package static func losses(of message: Message) -> Int {
        min(max(message.integer(lossesHeader) ?? 0, 0), uncountedLosses)
    }

    /// What the loss of a worker means for a task that it had on a lease.
    package enum Loss: Sendable, Hashable {
        /// Nothing: the bulk was still being gathered, and no flow had seen the task.
        case none
        /// Of thousands of tasks at most one was the cause, so this is no attempt yet: the next bulk is smaller.
        case shared
        /// An attempt at the task.
        case attempt
    }

    /// What the loss of the worker means for the task.
    ///
    /// - Parameter hasBegun: Whether the flow had begun with the bulk that the task is in.
    package func loss(hasBegun: Bool) -> Loss {
        if bulk == nil { return .attempt }
        if !hasBegun { return .none }
        return losses >= Self.uncountedLosses ? .attempt : .shared
    }

    /// Returns the message of a task of a lost worker, which returns to its queue from this lease.
    package func returning(_ task: BatchTask, after loss: Loss) -> Message {
        var task = task
        if loss == .attempt { task.attempt += 1 }
        let losses = loss == .shared ? losses + 1 : losses
        var message = Self.returning(task.message, from: id)
        if losses > 0 { message.headers.append(.init(Self.lossesHeader, .integer(Int64(losses)))) }
        return message
    }

    /// Returns the message of a task that returns to its queue from a lease.
    ///
    /// The next lease of the task names this one. A copy of the task that the broker delivers again does not, so it is
    /// not mistaken for the task itself.
    package static func returning(_ message: Message, from lease: String?) -> Message {
        guard let lease else { return message }
        var message = message
        // If it stood for a bulk, it no longer does.
        message.headers.removeAll { [returnedHeader, "sheaf-bulk", "sheaf-turn"].contains($0.name) }
        message.headers.append(.init(returnedHeader, .string(lease)))
        return message
    }
}
