import Foundation
import Sheaf
import SheafBroker
import SheafCore
import SheafFlows
import SheafTestSupport
import Testing

@testable import SheafBatches
@testable import SheafWorker

/// A provider of jobs, which answers as the tests say.
actor JobProvider {
    struct Job {
        /// The tasks that were submitted.
        var tasks: Set<Int>
        /// The tasks with which workers re-attached to the job, each time.
        var attached: [Set<Int>] = []
        var isCancelled = false
    }

    private(set) var jobs: [String: Job] = [:]
    private(set) var submissions: [[Int]] = []
    private var answers: [Int: Result<FlowOutput, FlowError>] = [:]
    private var answersAll: Bool

    init(answersAll: Bool = false) { self.answersAll = answersAll }

    /// Accepts a job, or finds the one that has the key already.
    func submit(_ tasks: [Int], key: String) {
        if jobs[key] != nil {
            jobs[key]?.attached.append(Set(tasks))
        } else {
            jobs[key] = Job(tasks: Set(tasks))
            submissions.append(tasks)
        }
    }

    func answer(_ task: Int, _ result: Result<FlowOutput, FlowError> = .success(.value(1))) {
        answers[task] = result
    }

    func answerAll() { answersAll = true }

    func result(_ task: Int) -> Result<FlowOutput, FlowError>? {
        answers[task] ?? (answersAll ? .success(.value(.integer(task))) : nil)
    }

    func cancel(_ key: String) { jobs[key]?.isCancelled = true }

    var attached: [Set<Int>] { jobs.values.flatMap(\.attached) }
}

/// Runs tasks as jobs of the provider.
struct JobFlow: BulkFlow {
    let provider: JobProvider
    var maximumTasks = 10
    var maximumBytes = Int.max
    var maximumWait = Duration.zero
    /// Runs before a job is submitted.
    var before: @Sendable ([FlowTask], BulkMemo?) async throws -> Void = { _, _ in }

    func run(
        _ tasks: [FlowTask],
        resuming memo: BulkMemo?,
        remember: @Sendable (BulkMemo) async throws -> Void,
        ended: @Sendable (Int, Result<FlowOutput, FlowError>) async -> Void
    ) async throws {
        let key = memo?.json?["key"]?.stringValue ?? UUID().uuidString
        if memo == nil { try await remember(BulkMemo(["key": .string(key)])) }
        try await before(tasks, memo)
        if let memo { try await remember(memo) }
        await provider.submit(tasks.map(\.index), key: key)
        var open = Set(tasks.indices)
        while !open.isEmpty {
            for position in open {
                guard let result = await provider.result(tasks[position].index) else { continue }
                open.remove(position)
                await ended(position, result)
            }
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    func discard(_ memo: BulkMemo) async {
        if let key = memo.json?["key"]?.stringValue { await provider.cancel(key) }
    }

    func definition(retries: Int = 0) -> FlowDefinition {
        FlowDefinition(
            name: Name("work"),
            flow: self,
            retries: retries,
            retryRule: RetryRule(delay: .milliseconds(100))
        )
    }
}

extension Stage {
    /// Aggregates with short patience until the body returns, so that no worker does.
    static func aggregating(
        _ kind: BrokerKind,
        _ body: @escaping @Sendable (Stage, SheafClient) async throws -> Void
    ) async throws {
        try await Stage.with(kind) { stage in
            try await stage.client { client in
                let timing = AggregatorTiming(
                    interval: .milliseconds(50),
                    progressInterval: .milliseconds(50),
                    leaseGrace: .milliseconds(300)
                )
                let journal = try await Journal.read(from: client)
                let aggregator = Aggregator(client: client, journal: journal, timing: timing)
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await journal.run() }
                    group.addTask { try await aggregator.run() }
                    group.addTask {
                        try await until("the aggregator leads") {
                            try await client.broker.isLocked(client.names.aggregatorLock)
                        }
                        try await body(stage, client)
                    }
                    defer { group.cancelAll() }
                    try await group.next()
                }
            }
        }
    }

    /// Runs a worker until the body returns, and then lets it vanish with its connection.
    func losing(_ flow: JobFlow, of batch: Name? = nil, _ body: @Sendable () async throws -> Void) async throws {
        try await client { client in
            var configuration = WorkerConfiguration(flows: [flow.definition()], name: "lost")
            configuration.batch = batch
            configuration.timing.lastPatience = .milliseconds(100)
            configuration.timing.returnPatience = .milliseconds(100)
            let worker = Worker(client: client, configuration: configuration)
            let working = Task { try await worker.run() }
            try await body()
            await client.broker.close()
            working.cancel()
            _ = await working.result
        }
    }
}

/// The tasks of the outcomes among the events of a results log.
func outcomeIndices(in events: [ResultEvent]) -> [Int] {
    events.flatMap { event in if case .outcomes(let outcomes, _) = event { outcomes.map(\.index) } else { [Int]() } }
}

/// What happened to bulks, among the events of a results log.
func bulkActions(in events: [ResultEvent]) -> [BulkEvent.Action] {
    events.compactMap { event in if case .bulk(let bulk) = event { bulk.action } else { nil } }
}

/// The leases of tasks in bulks, among the events of a results log.
func bulkLeases(in events: [ResultEvent]) -> [TaskLease] {
    events.compactMap { event in if case .leased(let lease) = event, lease.bulk != nil { lease } else { nil } }
}
