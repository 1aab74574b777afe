import SheafBroker
import SheafCore
import SheafSources
import Synchronization

/// Publishes one batch, from its first record to its seal.
struct BatchCreator {
    let client: SheafClient
    let plan: BatchPlan
    let onCreated: @Sendable (Name) -> Void
    let onConfirmed: @Sendable (Int) -> Void

    /// How many tasks go into one publish, and how many publishes may wait for their confirmation.
    private static let window = 500
    private static let windowsInFlight = 4
    /// How often the journal is told how far publishing is, in tasks.
    private static let journalEvery = 10_000
    /// The same in time, for sources that are slow.
    private static let journalInterval = Duration.seconds(2)

    func run<Items: AsyncSequence>(_ items: Items) async throws -> CreatedBatch where Items.Element == [SourceItem] {
        let variants: ParameterVariants
        do throws(ParameterError) {
            variants = try ParameterVariants(defaults: plan.defaults, parameters: plan.options.parameters)
        } catch {
            throw SheafError(.invalid, error.description)
        }
        // The first records are read before anything is made, so that an empty input leaves nothing behind.
        var iterator = items.makeAsyncIterator()
        guard let first = try await iterator.next(isolation: #isolation) else {
            throw SheafError(.invalid, "the input holds no records, so there is nothing to create")
        }
        let journal = try await Journal.read(from: client)
        var generator = SystemRandomNumberGenerator()
        let id = plan.id ?? Name.newBatch(at: .now, using: &generator)
        guard let lock = try await client.broker.acquireLock(client.names.creatingLock(batch: id)) else {
            throw SheafError(.alreadyExists, "batch '\(id)' is being created by somebody else at this moment")
        }
        do {
            let created = try await publish(id, variants, first, &iterator, journal)
            await lock.release()
            return created
        } catch {
            await lock.release()
            throw error
        }
    }

    private func publish<Iterator: AsyncIteratorProtocol>(
        _ id: Name,
        _ variants: ParameterVariants,
        _ first: [SourceItem],
        _ iterator: inout Iterator,
        _ journal: Journal
    ) async throws -> CreatedBatch where Iterator.Element == [SourceItem] {
        try await open(id, journal)
        onCreated(id)
        let tasks = TaskBuilder(flow: plan.flow, batch: id, variants: variants)
        var invalid = 0
        var position = ConfirmedPosition()
        let following = Task { try await journal.run() }
        defer { following.cancel() }
        try await withThrowingTaskGroup(of: ConfirmedPosition.Window.self) { group in
            var inFlight = 0
            var next: [SourceItem]? = first
            while let chunk = next {
                if journal[id]?.cancelled != nil {
                    throw SheafError(.cancelled, "batch \(id) was cancelled while it was being created")
                }
                for window in chunk.chunks(of: max(1, Self.window / variants.variants.count)) {
                    if inFlight == Self.windowsInFlight, let done = try await group.next() {
                        inFlight -= 1
                        try await advance(&position, done, id, journal)
                    }
                    let built = tasks.build(window)
                    invalid += built.invalid
                    let mine = position.open(count: built.count)
                    group.addTask { [self] in
                        try await send(built, to: id)
                        return mine
                    }
                    inFlight += 1
                }
                next = try await iterator.next(isolation: #isolation)
            }
            while let done = try await group.next() { try await advance(&position, done, id, journal) }
        }
        try await retrying(for: plan.publishTimeout) {
            try await journal.append(.sealed(total: position.confirmed), to: id, flow: plan.flow)
        }
        return CreatedBatch(id: id, flow: plan.flow, total: position.confirmed, invalid: invalid)
    }

    /// Makes what a batch needs, and its entry in the journal; the first creation of an id wins.
    private func open(_ id: Name, _ journal: Journal) async throws {
        let taken = SheafError(.alreadyExists, "batch '\(id)' exists already; choose another --batch-id, or none")
        guard journal[id] == nil else { throw taken }
        let (broker, names) = (client.broker, client.names)
        let tasks = names.tasks(flow: plan.flow, batch: id, redo: 0)
        try await broker.declareLog(LogDeclaration(name: names.results(batch: id)))
        try await broker.declareQueue(.suspects(of: plan.flow, names))
        try await broker.declareQueue(.tasks(of: id, flow: plan.flow, redo: 0, names))
        if let limit = plan.options.concurrency {
            // Minted under the creating lock and before the batch is known, so nobody mints or takes them at the same time.
            let permits = names.permits(batch: id, redo: 0)
            try await broker.declareQueue(QueueDeclaration(name: permits, deliveryLimit: nil))
            try await broker.purgeQueue(permits)
            try await broker.publish((0..<limit).map { Permit(change: 0, number: $0).message }, to: permits)
        }
        let nonce = String(UInt64.random(in: 0...UInt64.max), radix: 36)
        try await journal.append(
            .created(options: plan.options, source: plan.source, nonce: nonce),
            to: id,
            flow: plan.flow
        )
        try await journal.catchUp()
        guard journal[id]?.nonce == nonce else {
            // Somebody of another flow was first: the log is theirs, but this queue is nobody's.
            if let winner = journal[id], winner.flow != plan.flow { try await broker.deleteQueue(tasks) }
            throw taken
        }
    }

    private func send(_ built: TaskBuilder.Built, to id: Name) async throws {
        let broker = client.broker
        try await retrying(for: plan.publishTimeout) {
            if !built.tasks.isEmpty {
                try await broker.publish(built.tasks, to: client.names.tasks(flow: plan.flow, batch: id, redo: 0))
            }
            if !built.outcomes.isEmpty {
                try await broker.append(
                    ResultMessage.outcomes(batch: id, lines: built.outcomes),
                    to: client.names.results(batch: id)
                )
            }
        }
    }

    private func advance(
        _ position: inout ConfirmedPosition,
        _ window: ConfirmedPosition.Window,
        _ id: Name,
        _ journal: Journal
    ) async throws {
        position.close(window)
        let confirmed = position.confirmed
        onConfirmed(confirmed)
        if position.isNews(after: Self.journalEvery, or: Self.journalInterval) {
            try await retrying(for: plan.publishTimeout) {
                try await journal.append(.published(count: confirmed), to: id, flow: plan.flow)
            }
        }
    }
}
