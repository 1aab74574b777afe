import SheafBroker
import SheafCore

/// Declares the queues and logs of a batch and writes its entry to the journal; the first creation of an id wins.
struct BatchOpening: Sendable {
    let client: SheafClient
    let plan: BatchPlan
    let id: Name
    let journal: Journal
    let lock: CreatingLock
    let stalls: StallWatch

    private var tasks: String { client.names.tasks(flow: plan.flow, batch: id, generation: 0) }
    private var rest: String { client.names.restOfTasks(flow: plan.flow, batch: id) }
    private var permits: String { client.names.permits(batch: id, generation: 0) }

    func run() async throws {
        // Another creator may have held the lock and finished after this process read the journal.
        try await stalls.during { try await journal.catchUp() }
        guard journal[id] == nil else { throw taken }
        if journal.state.isDeleted(id) {
            throw SheafError(
                .alreadyExists,
                "batch '\(id)' was deleted, and its id cannot be used again",
                advice: .chooseAnotherID
            )
        }
        do {
            try await makeQueues()
        } catch {
            // The journal does not have the batch yet, so its queues and logs are unused.
            try? await withoutCancellation { try await removeQueues() }
            throw error
        }
        try await announce()
    }

    /// Declares the queues; those that a creator left when it was killed before its journal entry are emptied.
    private func makeQueues() async throws {
        let (broker, names, stalls) = (client.broker, client.names, stalls)
        try await stalls.during { try await broker.declareLog(LogDeclaration(name: names.results(batch: id))) }
        try await stalls.during { try await broker.declareQueue(.suspects(of: plan.flow, names)) }
        try await stalls.during { try await broker.declareQueue(.tasks(of: id, flow: plan.flow, generation: 0, names)) }
        try await stalls.during { _ = try await broker.purgeQueue(tasks) }
        if plan.options.pilot != nil {
            try await stalls.during { try await broker.declareQueue(.restOfTasks(of: id, flow: plan.flow, names)) }
            try await stalls.during { _ = try await broker.purgeQueue(rest) }
        }
        guard let limit = plan.options.maxRunning else { return }
        // Minted under the creating lock and before the batch is known, so no other process mints or takes them.
        try await stalls.during {
            try await broker.declareQueue(QueueDeclaration(name: permits, kind: .tokens()))
            try await broker.purgeQueue(permits)
            try await broker.publish((0..<limit).map { Permit(change: 0, number: $0).message }, to: permits)
        }
    }

    /// Writes the entry to the journal.
    ///
    /// Nothing is removed if the entry was sent and not confirmed: it may still arrive, and the batch exists then.
    private func announce() async throws {
        let nonce = String(UInt64.random(in: 0...UInt64.max), radix: 36)
        var input = plan.input ?? BatchInput()
        input.defaults = plan.defaults
        let entry = JournalEntry.Event.created(
            options: plan.options,
            source: plan.source,
            nonce: nonce,
            input: input.json
        )
        try await stalls.during {
            try await lock.hold()
            try await journal.append(entry, to: id, flow: plan.flow)
        }
        try await stalls.during { try await journal.catchUp() }
        guard journal[id]?.nonce == nonce else {
            // A batch of another flow was first: the results log belongs to it, but these task queues are unused.
            if let winner = journal[id] {
                let isOfOtherFlow = winner.flow != plan.flow
                if isOfOtherFlow { try await client.broker.deleteQueue(tasks) }
                if isOfOtherFlow || winner.options.pilot == nil { try await client.broker.deleteQueue(rest) }
            }
            throw taken
        }
    }

    private func removeQueues() async throws {
        guard await lock.isHeld else { return }
        try await journal.catchUp()
        guard journal[id] == nil else { return }
        try await client.broker.deleteQueue(tasks)
        try await client.broker.deleteQueue(rest)
        try await client.broker.deleteQueue(permits)
        try await client.broker.deleteLog(client.names.results(batch: id))
    }

    private var taken: SheafError {
        SheafError(.alreadyExists, "batch '\(id)' already exists", advice: .chooseAnotherID)
    }
}

extension QueueDeclaration {
    private static let returnsOfTasks = 3
    private static let returnsOfSuspects = 2
    /// How often a task is delivered before it is dead-lettered: in each of the two queues once more than its limit.
    static let deliveriesBeforeDeath = returnsOfTasks + 1 + returnsOfSuspects + 1

    /// The task queue of a generation of a batch.
    static func tasks(of batch: Name, flow: Name, generation: Int, _ names: WireNames) -> QueueDeclaration {
        tasks(of: batch, flow: flow, .generation(generation), names)
    }

    /// The queue of the tasks after the pilot of a batch.
    static func restOfTasks(of batch: Name, flow: Name, _ names: WireNames) -> QueueDeclaration {
        tasks(of: batch, flow: flow, .rest, names)
    }

    /// A task queue of a batch; a task that is returned too often becomes a suspect.
    static func tasks(of batch: Name, flow: Name, _ queue: TaskQueue, _ names: WireNames) -> QueueDeclaration {
        QueueDeclaration(
            name: names.tasks(flow: flow, batch: batch, queue: queue),
            kind: .work(
                deliveryLimit: returnsOfTasks,
                deadLetter: .queue(names.suspects(flow: flow)),
                acceptsDelayed: true
            )
        )
    }

    /// The queue of a flow's suspects; a task whose worker dies even while it runs alone is dead-lettered.
    static func suspects(of flow: Name, _ names: WireNames) -> QueueDeclaration {
        QueueDeclaration(
            name: names.suspects(flow: flow),
            kind: .work(deliveryLimit: returnsOfSuspects, deadLetter: .log(names.dead))
        )
    }
}
