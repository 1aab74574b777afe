import SheafBatches
import SheafBroker
import SheafCore
import SheafFlows

/// What a worker is made of, put together.
struct WorkerParts: Sendable {
    let client: SheafClient
    let journal: Journal
    let state: WorkerState
    let inbox = TaskInbox()
    let writer: OutcomeWriter
    let fetcher: TaskFetcher
    let keeper: LeaseKeeper
    let signals: HeartbeatSender
    let aggregator: Aggregator
    let goal: StopCondition
    let slot: TaskSlot
    let book: RateLimits
    let gates: [RateGate]

    init(
        _ client: SheafClient,
        _ configuration: WorkerConfiguration,
        _ journal: Journal,
        _ book: RateLimits,
        _ state: WorkerState
    ) {
        self.book = book
        self.client = client
        self.journal = journal
        self.state = state
        let writer = OutcomeWriter(client: client, state: state, journal: journal, inbox: inbox)
        let fetcher = TaskFetcher(
            client: client,
            configuration: configuration,
            journal: journal,
            state: state,
            inbox: inbox,
            writer: writer,
            book: book
        )
        self.writer = writer
        self.fetcher = fetcher
        keeper = LeaseKeeper(
            client: client,
            journal: journal,
            state: state,
            writer: writer,
            fetcher: fetcher,
            timeout: configuration.acknowledgementTimeout
        )
        signals = HeartbeatSender(client: client, worker: configuration.name, state: state, inbox: inbox, book: book)
        gates = configuration.rateLimits.map { [inbox] limit in
            RateGate(client: client, book: book, inbox: inbox, key: limit.key, wanted: limit.rate)
        }
        aggregator = Aggregator(client: client, journal: journal)
        goal = StopCondition(
            client: client,
            configuration: configuration,
            journal: journal,
            state: state,
            fetcher: fetcher
        )
        slot = TaskSlot(
            client: client,
            worker: configuration.name,
            flows: Dictionary(
                configuration.flows.map { ($0.name, Boxed(wrappedValue: $0)) },
                uniquingKeysWith: { $1 }
            ),
            journal: journal,
            state: state,
            writer: writer,
            book: book,
            inbox: inbox,
            prompter: configuration.prompt.map { PromptQueue($0) },
            giveBack: { try await fetcher.giveBack($0) }
        )
    }

    /// Leaves nothing to guess, whatever the reason to leave: what is done is written, and what is not goes back.
    func wrapUp() async throws {
        // Where the broker takes nothing even now, it gives the tasks to others when the connection ends.
        let flush = await Task { [writer] in try await within(OutcomeWriter.lastPatience) { try await writer.flush() } }
            .result
        try await fetcher.stop()
        let rest = state.held
        state.note { $0.returned += rest.count }
        try await writer.giveBack(rest)
        await keeper.release()
        _ = try flush.get()
    }
}
