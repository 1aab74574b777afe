import SheafBroker
import SheafCore
import SheafSources

/// Streams items into the task queue of an open batch, with at most four windows of unconfirmed messages.
struct BatchPublisher: Sendable {
    let client: SheafClient
    let flow: Name
    let batch: Name
    let variants: ParameterVariants
    /// The tasks that are published first, to a queue of their own.
    let pilot: Pilot?
    /// Finds records that are identical to one that is published, also before; nil if each record runs.
    var finder: TwinFinder?
    var trace: TraceContext?
    let journal: Journal
    let lock: CreatingLock
    let stalls: StallWatch
    let onConfirmed: @Sendable (Int) -> Void

    /// How many tasks one publish has.
    static let window = 500
    /// How many publishes may wait for their confirmation.
    static let windowsInFlight = 4
    /// How often the lock and the journal are checked while the input yields nothing.
    private static let attention = Duration.milliseconds(300)

    /// The totals of a publication.
    struct Sum: Sendable {
        /// All confirmed tasks of the batch.
        var total: Int
        /// How many of the tasks published now have an unreadable record.
        var invalid: Int
        /// How many of all tasks are twins.
        var twins: Int
    }

    /// Publishes items from a task number on; `digest` covers the records before it, if a digest is kept.
    func publish<Iterator: AsyncIteratorProtocol>(
        _ first: [SourceItem]?,
        _ rest: inout Iterator,
        startingAt start: Int,
        digest: ItemDigest?
    ) async throws -> Sum where Iterator.Element == [SourceItem] {
        var tasks = TaskBuilder(
            flow: flow,
            batch: batch,
            variants: variants,
            pilot: pilot,
            trace: trace,
            finder: finder,
            startingAt: start - (finder?.count ?? 0) * variants.variants.count
        )
        let ledger = PublishingLedger(startingAt: start, onConfirmed: onConfirmed) { count, digest, twins in
            try await append(.published(count: count, digest: digest, twins: twins))
        }
        var digest = digest
        var invalid = 0
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await attend(to: ledger) }
            var inFlight = 0
            var next = first
            if next == nil { next = try await rest.next(isolation: #isolation) }
            while let chunk = next {
                for items in chunk.chunks(of: max(1, Self.window / variants.variants.count)) {
                    while inFlight == Self.windowsInFlight {
                        try await group.next()
                        inFlight -= 1
                    }
                    try await ledger.waitForJournal()
                    for item in items { digest?.add(item) }
                    let built = tasks.build(items)
                    invalid += built.invalid
                    let mine = await ledger.open(count: built.count, digest: digest?.text, twins: tasks.twins)
                    group.addTask {
                        do {
                            try await send(built)
                            try await ledger.close(mine)
                        } catch {
                            stalls.fail(error)  // the input may otherwise block the other tasks of the group
                            throw error
                        }
                    }
                    inFlight += 1
                }
                next = try await rest.next(isolation: #isolation)
            }
            for _ in 0..<inFlight { try await group.next() }
            group.cancelAll()
        }
        let total = await ledger.confirmed
        try await append(.sealed(total: total, twins: tasks.twins))
        return Sum(total: total, invalid: invalid, twins: tasks.twins)
    }

    private func append(_ event: JournalEntry.Event) async throws {
        try await stalls.during {
            try await lock.hold()
            try await journal.append(event, to: batch, flow: flow)
        }
    }

    private func send(_ built: TaskBuilder.Built) async throws {
        try await stalls.during {
            try await lock.hold()
            if !built.pilot.isEmpty {
                // Before its tasks, so that their outcomes are counted for the pilot wherever a reader begins.
                try await client.broker.append(
                    ResultMessage.pilot(batch: batch, tasks: IndexRanges(rising: built.pilot.sorted())),
                    to: client.names.results(batch: batch)
                )
            }
            if !built.tasks.isEmpty {
                try await client.broker.publish(
                    built.tasks,
                    to: client.names.tasks(flow: flow, batch: batch, generation: 0)
                )
            }
            if !built.rest.isEmpty {
                try await client.broker.publish(built.rest, to: client.names.restOfTasks(flow: flow, batch: batch))
            }
            if !built.twins.isEmpty {
                // Before the journal counts them as published: nothing else says whose outcome they get.
                try await client.broker.append(
                    built.twins.chunks(of: Twin.maximumCount).map { Twin.message(batch: batch, $0) },
                    to: client.names.results(batch: batch)
                )
            }
            if !built.outcomes.isEmpty {
                try await client.broker.append(
                    ResultMessage.outcomes(batch: batch, lines: built.outcomes),
                    to: client.names.results(batch: batch)
                )
            }
        }
    }

    /// Keeps the lock and the journal current while the input yields nothing, and stops if the batch is cancelled.
    private func attend(to ledger: PublishingLedger) async {
        do {
            while true {
                try await Task.sleep(for: Self.attention)
                if journal[batch]?.cancelled != nil {
                    throw SheafError(.cancelled, "batch '\(batch)' was cancelled while it was being created")
                }
                if await !lock.isHeld { try await stalls.during { try await lock.hold() } }
                try await ledger.writeIfDue()
            }
        } catch is CancellationError {
            return  // all is published
        } catch {
            stalls.fail(error)
        }
    }
}
