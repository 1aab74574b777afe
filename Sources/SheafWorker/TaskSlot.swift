import Logging
import SheafBatches
import SheafBroker
import SheafCore
import SheafFlows

/// Runs one task after the other: checks that it may run, makes an attempt, and sees to what follows.
struct TaskSlot: Sendable {
    let client: SheafClient
    let worker: String
    let flows: [Name: Boxed<FlowDefinition>]
    let journal: Journal
    let state: WorkerState
    let writer: OutcomeWriter
    let book: RateLimits
    let inbox: TaskInbox
    let prompter: PromptQueue?
    let giveBack: @Sendable ([InboxItem]) async throws -> Void

    func run(_ inbox: TaskInbox) async throws {
        while true {
            // What waits in the inbox stays there while the outcome could not be written.
            await state.waitWhileStalled()
            guard let item = await inbox.next() else { return }
            await state.waitWhileStalled()
            try Task.checkCancellation()
            try await handle(item)
        }
    }

    private func handle(_ item: InboxItem) async throws {
        guard let first = try await begin(item) else { return }
        var group = [first]
        if let size = first.groupSize, size > 1 {
            let (begun, uncertain) = takeMore(after: first, atMost: size - 1, isRunning: false)
            group += begun
            for item in uncertain {
                if let next = try await begin(item) { group.append(next) }
            }
        }
        if group.count > 1 { try await attempt(group) } else { try await attempt(first) }
    }

    /// Lets a task begin where it may, or sees to its delivery; nil then.
    func begin(_ item: InboxItem) async throws -> Assignment? {
        let assignment: Assignment?
        do {
            assignment = try await read(item)
        } catch let error as UnreadableMessage {
            client.logger.warning(
                "a message in queue \(item.delivery.queue) is not for this flow and goes to the dead letters: \(error)"
            )
            try await writer.settle([item], as: .rejected)
            return nil
        }
        guard let assignment, !assignment.isOver else {
            try await writer.settle([item], as: .acknowledged)
            return nil
        }
        switch state.admit(assignment, isPaused: book.isPaused(assignment.definition.rateLimitKey)) {
        case .begun(let isFirst):
            if isFirst { writer.submitStart(of: assignment.task.batch, worker: worker) }
            return assignment
        case .finished: try await writer.settle([item], as: .acknowledged)
        case .joined: break
        case .refused: try await giveBack([item])
        case .paused: try await putOff(item)
        }
        return nil
    }

    /// Reads a task and finds its flow and its batch; nil where the batch does not exist any more, throws where it is none for
    /// this worker.
    private func read(_ item: InboxItem) async throws -> Assignment? {
        let task = try BatchTask(item.delivery.message)
        if let batch = item.batch, task.batch != batch {
            throw UnreadableMessage("it is of another batch, '\(task.batch)'")
        }
        guard let definition = flows[task.flow] else {
            throw UnreadableMessage("it is for a flow that this worker does not know, '\(task.flow)'")
        }
        let revision = journal.revision
        guard let record = try await record(of: task) else { return nil }
        return try checked(Assignment(task, item, definition, record, revision: revision))
    }

    /// Reads a task that is to follow on one of the same batch; nil where more is to be known of it.
    func assignment(of item: InboxItem, like first: Assignment) throws(UnreadableMessage) -> Assignment? {
        let task = try BatchTask(item.delivery.message)
        let revision = journal.revision
        guard task.batch == first.task.batch, task.flow == first.task.flow, item.permit == nil,
            let record = revision == first.revision ? first.$record : journal.boxed(task.batch),
            task.generation <= record.wrappedValue.generation, record.wrappedValue.maxRunning == nil
        else { return nil }
        let assignment = try checked(Assignment(task, item, first.$definition, record, revision: revision))
        return assignment.isOver ? nil : assignment
    }

    /// A task that its batch can have; throws where it can not.
    private func checked(_ assignment: Assignment) throws(UnreadableMessage) -> Assignment {
        let task = assignment.task
        // Suspects of many batches share a queue: the journal, not the message, says which flow a batch is for.
        if assignment.record.flow != task.flow {
            throw UnreadableMessage("it is for flow '\(task.flow)', and its batch is for another")
        }
        if let total = assignment.record.sealedTotal, task.index >= total {
            throw UnreadableMessage("its index \(task.index) is beyond the batch's \(total) tasks")
        }
        if !assignment.isOver, task.generation > assignment.record.generation {
            throw UnreadableMessage("it is of generation \(task.generation), which its batch has not come to")
        }
        return assignment
    }

    /// What the journal says of a task's batch; read to its end first where it seems to be behind.
    private func record(of task: BatchTask) async throws -> Boxed<BatchInfo>? {
        let record = journal.boxed(task.batch)
        if record.map({ task.generation <= $0.wrappedValue.generation }) ?? journal.state.isDeleted(task.batch) {
            return record
        }
        try await journal.catchUp()
        return journal.boxed(task.batch)
    }
}
