import SheafBroker
import SheafCore

/// Makes what a batch needs, and its entry in the journal; the first creation of an id wins.
struct BatchOpening: Sendable {
    let client: SheafClient
    let plan: BatchPlan
    let id: Name
    let journal: Journal
    let lock: CreatingLock
    let stalls: StallWatch

    private var tasks: String { client.names.tasks(flow: plan.flow, batch: id, generation: 0) }
    private var permits: String { client.names.permits(batch: id, generation: 0) }

    func run() async throws {
        // Somebody may have had the lock, and been done, between our reading of the journal and our taking it.
        try await stalls.during { try await journal.catchUp() }
        guard journal[id] == nil else { throw taken }
        if journal.state.isDeleted(id) {
            throw SheafError(.alreadyExists, "batch '\(id)' was deleted, and its id is not used again; choose another")
        }
        do {
            try await makeQueues()
        } catch {
            // Nothing was said of the batch yet, so what there is of it is nobody's.
            try? await withoutCancellation { try await removeQueues() }
            throw error
        }
        try await announce()
    }

    /// What a creator that was killed before its entry in the journal has left is used again, emptied.
    private func makeQueues() async throws {
        let (broker, names, stalls) = (client.broker, client.names, stalls)
        try await stalls.during { try await broker.declareLog(LogDeclaration(name: names.results(batch: id))) }
        if plan.options.isInteractive {
            try await stalls.during { try await broker.declareLog(LogDeclaration(name: names.questions(batch: id))) }
        }
        try await stalls.during { try await broker.declareQueue(.suspects(of: plan.flow, names)) }
        try await stalls.during { try await broker.declareQueue(.tasks(of: id, flow: plan.flow, generation: 0, names)) }
        try await stalls.during { _ = try await broker.purgeQueue(tasks) }
        guard let limit = plan.options.maxRunning else { return }
        // Minted under the creating lock and before the batch is known, so nobody mints or takes them at the same time.
        try await stalls.during {
            try await broker.declareQueue(QueueDeclaration(name: permits, kind: .tokens()))
            try await broker.purgeQueue(permits)
            try await broker.publish((0..<limit).map { Permit(change: 0, number: $0).message }, to: permits)
        }
    }

    /// Nothing is removed where the entry was sent and not confirmed: it may arrive yet, and the batch exists then.
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
            // Somebody of another flow was first: the log is theirs, but this queue is nobody's.
            if let winner = journal[id], winner.flow != plan.flow { try await client.broker.deleteQueue(tasks) }
            throw taken
        }
    }

    private func removeQueues() async throws {
        guard await lock.isHeld else { return }
        try await journal.catchUp()
        guard journal[id] == nil else { return }
        try await client.broker.deleteQueue(tasks)
        try await client.broker.deleteQueue(permits)
        try await client.broker.deleteLog(client.names.results(batch: id))
        if plan.options.isInteractive { try await client.broker.deleteLog(client.names.questions(batch: id)) }
    }

    private var taken: SheafError {
        SheafError(.alreadyExists, "batch '\(id)' exists already; choose another --batch-id, or none")
    }
}
