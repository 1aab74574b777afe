import Foundation
import Logging
import SheafBatches
import SheafBroker
public import SheafCore
public import SheafFlows
import SheafWorker

/// Runs flows over records like a worker does, on this machine and without a server, for tests of flows.
///
/// Each run has a broker of its own in a temporary folder, which is removed afterwards.
///
/// ```swift
/// let shorten = FlowDefinition(name: "shorten", flow: Shorten())
/// let run = try await FlowStage().run(shorten, json: [["title": "The house of Sheaf"], ["name": "no title"]])
/// #expect(run.outputs == [["tags": 0, "title": "The house of Sheaf"], nil])
/// #expect(run.outcomes[1].error?.type == "record")
/// ```
///
/// Time-outs, rates and the pauses that a service asks for apply as everywhere.
public struct FlowStage: Sendable {
    /// Answers a question of the task with this index; nil leaves the question open.
    public typealias Answer = @Sendable (_ question: Question, _ index: Int) async throws -> String?

    /// How many tasks run at once.
    public var concurrency: Int
    /// What the batch does when tasks fail.
    public var errorPolicy: ErrorPolicy
    /// The parameters of the batch, an object; a list makes a task for each of its elements.
    public var parameters: JSONValue
    /// Whether retries wait as long as the flow's retry rule says, instead of running at once.
    public var waitsBeforeRetries: Bool
    /// The indices of the tasks whose first outcome is lost together with the worker.
    ///
    /// The flow ends its attempt, and the worker is lost just before it records the outcome, with all tasks that it
    /// holds. Another worker takes over and runs them again: a flow that is safe to run twice has the same effect as
    /// without the loss.
    public var losesWorkerAfter: Set<Int>
    /// Answers the questions of tasks; nil if the batch is not interactive, so that asking is an error.
    public var answer: Answer?
    /// How long a run may take before it throws.
    public var limit: Duration

    /// Creates a stage.
    public init(
        concurrency: Int = 4,
        errorPolicy: ErrorPolicy = .continue,
        parameters: JSONValue = [:],
        waitsBeforeRetries: Bool = false,
        losesWorkerAfter: Set<Int> = [],
        answer: Answer? = nil,
        limit: Duration = .seconds(60)
    ) {
        self.concurrency = concurrency
        self.errorPolicy = errorPolicy
        self.parameters = parameters
        self.waitsBeforeRetries = waitsBeforeRetries
        self.losesWorkerAfter = losesWorkerAfter
        self.answer = answer
        self.limit = limit
    }

    /// Runs a flow over lines of text, with their numbers from 1 as ids.
    public func run(_ flow: FlowDefinition, lines: [String]) async throws -> FlowRun {
        try await run(flow, records: number(lines.map { (.text, Array($0.utf8)) }))
    }

    /// Runs a flow over JSON values, with their numbers from 1 as ids.
    public func run(_ flow: FlowDefinition, json: [JSONValue]) async throws -> FlowRun {
        try await run(flow, records: number(json.map { (.json, $0.bytes) }))
    }

    /// Runs a flow over records and returns when the batch has ended or its error policy has stopped it.
    ///
    /// Shuts the flow down afterwards.
    ///
    /// - Throws: ``FlowStageError`` if the run takes longer than ``limit`` or no task has an index in
    ///   ``losesWorkerAfter``; ``SheafError`` if the batch cannot be created, for example because there are no records.
    public func run(_ flow: FlowDefinition, records: [Record]) async throws -> FlowRun {
        let late = FlowStageError(
            "flow '\(flow.name)' has not run all records within \(limit): it hangs, waits for an answer, or needs a "
                + "longer limit"
        )
        let folder = FileManager.default.temporaryDirectory.appending(path: "sheaf-stage-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        return try await withTimeout(limit, orThrow: late) { [self] in
            let result: Result<FlowRun, any Error>
            do {
                result = .success(try await run(flow, records, on: .embedded(directory: folder.path)))
            } catch {
                result = .failure(error)
            }
            await flow.flow.shutDown()
            return try result.get()
        }
    }

    private func number(_ records: [(kind: Record.Kind, bytes: [UInt8])]) -> [Record] {
        records.enumerated().map { Record(id: "\($0 + 1)", kind: $1.kind, bytes: $1.bytes) }
    }

    private func run(_ flow: FlowDefinition, _ records: [Record], on broker: BrokerReference) async throws -> FlowRun {
        var flow = flow
        if !waitsBeforeRetries { flow.retryRule.delay = .zero }
        let configuration = WorkerConfiguration(
            flows: [flow],
            concurrency: concurrency,
            untilEmpty: true,
            prompt: answer.map { StagePrompt(answer: $0) }
        )
        return try await SheafClient.withClient(broker: broker, logger: logger) { client in
            let options = BatchOptions(errorPolicy: errorPolicy, parameters: parameters, isInteractive: answer != nil)
            let plan = BatchPlan(flow: flow.name, options: options, defaults: flow.parameters)
            let items = AsyncStream { continuation in
                for record in records { continuation.yield(record) }
                continuation.finish()
            }
            let batch = try await client.create(plan, records: items)
            if let index = losesWorkerAfter.first(where: { !(0..<batch.total).contains($0) }) {
                throw FlowStageError("cannot lose a worker after task \(index): the last task is \(batch.total - 1)")
            }
            try await work(configuration, on: broker)
            var outcomes: [Outcome] = []
            let results = try await client.results(of: batch.id.text, ordered: true)
            for try await chunk in results { outcomes += chunk }
            return FlowRun(outcomes: outcomes, summary: try await client.batch(batch.id.text))
        }
    }

    /// Runs one worker after the other, until one of them is not lost.
    private func work(_ configuration: WorkerConfiguration, on reference: BrokerReference) async throws {
        var remaining = losesWorkerAfter
        while true {
            try Task.checkCancellation()
            let inner = try await BrokerRegistry.standard.open(reference, namespace: "sheaf")
            let broker = LosingBroker(inner, after: remaining, prefetch: concurrency)
            let result: Result<Void, any Error>
            do {
                let client = try await SheafClient(broker: broker, logger: logger)
                result = .success(try await Worker(client: client, configuration: configuration).run())
            } catch {
                result = .failure(error)
            }
            await broker.close()
            if broker.lost.isEmpty { return try result.get() }
            remaining.subtract(broker.lost)
        }
    }

    private var logger: Logger {
        var logger = Logger(label: "sheaf.stage")
        logger.logLevel = .critical
        return logger
    }
}

/// What a flow did on a ``FlowStage``.
public struct FlowRun: Sendable {
    /// The outcomes by task index, with attempts, errors and usage; a stopped batch lacks those of the rest.
    public let outcomes: [Outcome]
    /// The batch at its end: its status, counts, usage, and the reason if it was stopped.
    public let summary: BatchSummary

    /// The output of each task that has an outcome, by index; nil if the task did not succeed.
    public var outputs: [JSONValue?] { outcomes.map { $0.output.flatMap { try? JSON.parse($0) } } }
}

/// A run on a ``FlowStage`` that cannot be made or that does not end.
public struct FlowStageError: Error, Sendable, CustomStringConvertible {
    /// What failed, and the cause.
    public let description: String

    init(_ description: String) { self.description = description }
}

/// Passes the questions of tasks to the test.
private struct StagePrompt: QuestionPrompt {
    let answer: FlowStage.Answer

    func ask(_ question: Question, of task: String) async throws -> String? {
        let index = task.split(separator: ":").last.flatMap { Int($0) } ?? 0
        guard let input = try await answer(question, index) else { return nil }
        guard let answer = question.answer(input) else {
            throw FlowStageError("the stage's answer '\(input)' is not allowed for the question '\(question.text)'")
        }
        return answer
    }
}
