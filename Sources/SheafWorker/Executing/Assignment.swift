import SheafBatches
import SheafBroker
import SheafCore
import SheafFlows

/// A task that an executor handles, with what is known of its flow and its batch.
///
/// It never changes, and copying it counts one reference: the task, the definition and the batch are large.
struct Assignment: Sendable {
    private final class Storage: Sendable {
        let task: BatchTask
        let delivery: TaskDelivery
        let definition: Boxed<FlowDefinition>
        let info: Boxed<BatchInfo>
        let revision: Int

        init(
            _ task: BatchTask,
            _ delivery: TaskDelivery,
            _ definition: Boxed<FlowDefinition>,
            _ info: Boxed<BatchInfo>,
            _ revision: Int
        ) {
            self.task = task
            self.delivery = delivery
            self.definition = definition
            self.info = info
            self.revision = revision
        }
    }

    private let storage: Storage

    init(
        _ task: BatchTask,
        _ delivery: TaskDelivery,
        _ definition: Boxed<FlowDefinition>,
        _ info: Boxed<BatchInfo>,
        revision: Int
    ) {
        storage = Storage(task, delivery, definition, info, revision)
    }

    /// Makes the assignment of a task whose flow and batch are those of another one.
    init(_ task: BatchTask, _ delivery: TaskDelivery, like other: Assignment) {
        let (definition, info) = (other.definitionReference, other.infoReference)
        self.init(task, delivery, definition, info, revision: other.revision)
    }

    /// The task.
    var task: BatchTask { storage.task }
    /// How it came here.
    var delivery: TaskDelivery { storage.delivery }
    /// Its flow.
    var definition: FlowDefinition { storage.definition.wrappedValue }
    /// Its flow, by reference.
    var definitionReference: Boxed<FlowDefinition> { storage.definition }
    /// Its batch, as the journal knew it at ``revision`` or later.
    var info: BatchInfo { storage.info.wrappedValue }
    /// Its batch, by reference.
    var infoReference: Boxed<BatchInfo> { storage.info }
    /// The journal's revision when the batch was looked up.
    var revision: Int { storage.revision }

    /// How many attempts have been made at it, with the one that is made now.
    var attempts: Int { storage.task.attempt + storage.delivery.earlierDeliveries }

    /// How many tasks of its batch its flow may be handed at once.
    ///
    /// Nil if each has to begin by itself, because it waits for a permit, a rate limit or an answer, or because it
    /// may be what ended a worker.
    var groupSize: Int? {
        let (definition, info) = (definition, info)
        guard let flow = definition.serialFlow, definition.rateLimit == nil, delivery.batch != nil,
            delivery.permit == nil, info.maxRunning == nil, !info.options.isInteractive
        else { return nil }
        return flow.groupSize
    }

    /// How many workers were lost with it in a bulk without a memo.
    var lostBulks: Int { (try? delivery.message()).map { TaskLease.losses(of: $0) } ?? 0 }

    /// Whether it stands for a bulk that is to be taken over.
    var handOver: BulkHandOver? { (try? delivery.message()).flatMap { BulkHandOver($0) } }

    /// Whether it has waited so long for a submission that it is to run by itself.
    var isLate: Bool {
        guard let flow = definition.bulkFlow as? any SubmittingFlow, let age = flow.liveAge, handOver == nil,
            let since = info.waitingSince(task: storage.task.index)
        else { return false }
        return .now - since >= age
    }

    /// Whether its batch has ended, was cancelled, or has moved to a later generation, so that its outcome no longer
    /// counts.
    var isOver: Bool {
        let info = info
        return info.ending != nil || info.cancelled != nil || storage.task.generation < info.oldestQueue
    }

    /// What the ledger needs to know to admit it.
    var candidate: TaskLedger.Candidate {
        let info = info
        // A task that was fetched before its batch was capped has no permit.
        let isPermitted = info.maxRunning == nil || delivery.permit != nil || delivery.batch == nil
        return TaskLedger.Candidate(
            delivery: delivery,
            task: TaskKey(storage.task),
            attempt: storage.task.attempt,
            mayRun: info.isRunnable && isPermitted,
            continuations: info.continuations
        )
    }

    /// The task as its flow sees it; throws what is wrong with its parameters or its record.
    func flowTask(_ asker: TaskAsker?) throws(FlowError) -> FlowTask {
        let task = task
        let parameters: JSONValue
        do {
            parameters = try task.parameters.map { try JSON.parse($0) } ?? [:]
        } catch {
            throw FlowError(type: "parameters", message: "the task's parameters are not JSON: \(error)")
        }
        if task.record.kind == .json {
            do throws(JSONError) {
                try JSON.validate(task.record.bytes)
            } catch {
                let message = "\(task.record.id): the record is marked as JSON but is not valid JSON: \(error)"
                throw FlowError(type: Outcome.Failure.invalidRecord, message: message)
            }
        }
        var flowTask = FlowTask(
            batch: task.batch,
            index: task.index,
            record: task.record,
            parameters: parameters,
            attempt: attempts,
            asker: asker
        )
        if let id = info.options.adoptedSubmission {
            // A delivery to a worker that died is no retry.
            flowTask.adopted = AdoptedSubmission(id: id, isRetry: task.generation > 0 || task.attempt > 1)
        }
        return flowTask
    }
}

/// Reads tasks from deliveries, and finds their flows and batches.
struct AssignmentReader: Sendable {
    private let flows: [Name: Boxed<FlowDefinition>]
    private let journal: Journal

    init(flows: [FlowDefinition], journal: Journal) {
        self.flows = Dictionary(flows.map { ($0.name, Boxed(wrappedValue: $0)) }, uniquingKeysWith: { $1 })
        self.journal = journal
    }

    /// Reads a task and finds its flow and its batch.
    ///
    /// - Returns: Nil if the batch no longer exists.
    /// - Throws: `UnreadableMessage` if the message is not a task for this worker.
    func read(_ delivery: TaskDelivery) async throws -> Assignment? {
        let task = try BatchTask(message(of: delivery))
        if let batch = delivery.batch, task.batch != batch {
            throw UnreadableMessage("it belongs to another batch, '\(task.batch)'")
        }
        guard let definition = flows[task.flow] else {
            throw UnreadableMessage("it is for flow '\(task.flow)', which this worker does not know")
        }
        let revision = journal.revision
        guard let info = try await info(of: task) else { return nil }
        return try checked(Assignment(task, delivery, definition, info, revision: revision))
    }

    /// Reads a task that is to follow on one of the same batch; returns nil if more has to be found out about it.
    func read(_ delivery: TaskDelivery, like first: Assignment) throws(UnreadableMessage) -> Assignment? {
        let task = try BatchTask(message(of: delivery))
        let revision = journal.revision
        guard task.batch == first.task.batch, task.flow == first.task.flow, delivery.permit == nil,
            let info = revision == first.revision ? first.infoReference : journal.boxed(task.batch),
            task.generation <= info.wrappedValue.generation, info.wrappedValue.maxRunning == nil
        else { return nil }
        let assignment = try checked(
            Assignment(task, delivery, first.definitionReference, info, revision: revision)
        )
        return assignment.isOver ? nil : assignment
    }

    private func message(of delivery: TaskDelivery) throws(UnreadableMessage) -> Message {
        do {
            return try delivery.message()
        } catch {
            throw UnreadableMessage(error.message)
        }
    }

    /// Returns a task that its batch can contain; throws if it cannot.
    private func checked(_ assignment: Assignment) throws(UnreadableMessage) -> Assignment {
        let (task, info) = (assignment.task, assignment.info)
        // Suspects of many batches share a queue: the journal, not the message, decides which flow a batch is for.
        if info.flow != task.flow {
            throw UnreadableMessage("it is for flow '\(task.flow)', but its batch is for flow '\(info.flow)'")
        }
        if let total = info.sealedTotal, task.index >= total {
            throw UnreadableMessage("its index \(task.index) is beyond the batch's \(total) tasks")
        }
        if !assignment.isOver, task.generation > info.generation {
            throw UnreadableMessage("its generation \(task.generation) has not begun")
        }
        return assignment
    }

    /// What the journal knows of a task's batch; the journal is read to its end first if it seems to be out of date.
    private func info(of task: BatchTask) async throws -> Boxed<BatchInfo>? {
        let info = journal.boxed(task.batch)
        if info.map({ task.generation <= $0.wrappedValue.generation }) ?? journal.state.isDeleted(task.batch) {
            return info
        }
        try await journal.catchUp()
        return journal.boxed(task.batch)
    }
}
