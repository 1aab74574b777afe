/// What an entry of a results log says.
public enum ResultEvent: Sendable, Equatable {
    /// A worker has begun with the batch.
    case started(at: Timestamp)
    /// Tasks ended; so many lines could not be read.
    case outcomes([OutcomeSummary], unreadable: Int)
    /// Tasks run again as a later generation, once the journal has a `retried` of this nonce.
    case reopened(generation: Int, nonce: String, tasks: IndexRanges)
    /// A worker keeps a task for longer than the broker would wait for its end, and has put it here instead.
    case leased(TaskLease)
    /// A leased task is in its queue again.
    case returned(lease: String)
    /// A task waits for its next attempt.
    case delayed(index: Int, generation: Int, for: Duration)
    /// The aggregator's memory of all that stands before; see ``BatchState/snapshot``.
    case checkpoint
    /// Something this version does not know, or can not read.
    case unknown

    /// Reads an entry.
    public init(_ message: Message) {
        switch message.type {
        case ResultMessage.outcomesType:
            let (outcomes, unreadable) = ResultMessage.summaries(of: message)
            self = .outcomes(outcomes, unreadable: unreadable)
        case ResultMessage.startedType:
            self = ResultMessage.startedAt(message).map { .started(at: $0) } ?? .unknown
        case ResultMessage.reopenedType:
            guard let body = try? JSON.parse(message.body), let generation = body["generation"]?.intValue,
                generation > 0,
                let nonce = body["nonce"]?.stringValue,
                let tasks = body["tasks"]?.stringValue.flatMap({ IndexRanges($0) })
            else {
                self = .unknown
                return
            }
            self = .reopened(generation: generation, nonce: nonce, tasks: tasks)
        case ResultMessage.leasedType:
            self = TaskLease(message).map { .leased($0) } ?? .unknown
        case ResultMessage.returnedType:
            self = message.string("sheaf-lease").map { .returned(lease: $0) } ?? .unknown
        case ResultMessage.delayedType:
            guard let index = message.integer("sheaf-index"), (0..<BatchState.maximumTasks).contains(index),
                let delay = message.integer("sheaf-delay"), (0...Self.longestDelay).contains(delay)
            else {
                self = .unknown
                return
            }
            self = .delayed(
                index: index,
                generation: message.integer("sheaf-generation") ?? 0,
                for: .milliseconds(delay)
            )
        case ResultMessage.checkpointType: self = .checkpoint
        default: self = .unknown
        }
    }

    /// What is believed of a delay, in milliseconds: a week.
    private static let longestDelay = 7 * 24 * 3_600_000
}

/// A task that a worker runs for longer than the broker waits for an acknowledgement.
///
/// The task's message stands in the results log and not in its queue any more. When the worker's lock is free though the
/// task has no outcome, the aggregator puts the task back into its queue.
public struct TaskLease: Sendable, Hashable {
    /// Names the lease.
    public var id: String
    /// The task's number within its batch.
    public var index: Int
    /// The generation it runs for.
    public var generation: Int
    /// The id of the worker, which its lock bears.
    public var worker: String
    /// Where it stands in the results log, as far as a reader knows.
    public var offset: Int64

    /// Makes a lease.
    public init(id: String, index: Int, generation: Int, worker: String, offset: Int64 = 0) {
        self.id = id
        self.index = index
        self.generation = generation
        self.worker = worker
        self.offset = offset
    }

    /// Reads the lease of a `leased` message; nil where it is none.
    public init?(_ message: Message) {
        guard message.type == ResultMessage.leasedType, let id = message.string("sheaf-lease"), id.utf8.count <= 64,
            let worker = message.string("sheaf-worker"), worker.utf8.count <= 64,
            let index = message.integer("sheaf-index"), (0..<BatchState.maximumTasks).contains(index)
        else { return nil }
        self.init(id: id, index: index, generation: message.integer("sheaf-generation") ?? 0, worker: worker)
    }

    /// The message that puts the task into the results log: the task itself with two more headers.
    public func message(of task: BatchTask) -> Message {
        var message = task.message
        message.type = ResultMessage.leasedType
        message.headers.append(.init("sheaf-lease", .string(id)))
        message.headers.append(.init("sheaf-worker", .string(worker)))
        return message
    }

    /// The task of a `leased` message; nil where it can not be read.
    public static func task(of message: Message) -> BatchTask? {
        var message = message
        guard message.type == ResultMessage.leasedType else { return nil }
        message.type = BatchTask.messageType
        return try? BatchTask(message)
    }
}
