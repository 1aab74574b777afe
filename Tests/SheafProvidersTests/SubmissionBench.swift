import SheafCore
import SheafFlows
import SheafProviders
import SheafTestTools
import Synchronization
import Testing

/// Runs submissions as a worker would, and keeps what the worker keeps.
final class SubmissionBench: Sendable {
    private struct State {
        var memos: [BulkMemo] = []
        var results: [Int: [AttemptResult]] = [:]
        var stop: Int?
        var end = BulkEnd()
    }

    let server: BatchServer
    let kind: ProviderKind
    private let state = Mutex(State())

    init(_ server: BatchServer, _ kind: ProviderKind = .openai, memo: BulkMemo? = nil) {
        self.server = server
        self.kind = kind
        if let memo { state.withLock { $0.memos = [memo] } }
    }

    /// Continues where another worker was lost, whose results were not stored.
    convenience init(_ server: BatchServer, continuing other: SubmissionBench) {
        self.init(server, other.kind, memo: other.memos.last)
    }

    /// All memos, the newest at the end.
    var memos: [BulkMemo] { state.withLock { $0.memos } }
    /// What the last run ended with.
    var end: BulkEnd { state.withLock { $0.end } }
    /// All results, by the index of the task.
    var results: [Int: [AttemptResult]] { state.withLock { $0.results } }

    /// Makes the client of the batch API that the tests use.
    func provider(
        key: String = BatchServer.key,
        model: String = "m",
        limits: BatchLimits? = nil
    ) throws -> any BatchProvider {
        kind.client(try chat(key: key, model: model), limits: limits)
    }

    func chat(key: String = BatchServer.key, model: String = "m") throws -> ChatFlow {
        try kind.chat(server, key: key, model: model)
    }

    static func task(_ index: Int) -> FlowTask {
        FlowTask(
            batch: "b1",
            index: index,
            record: Record(
                id: "r\(index)",
                kind: .json,
                bytes: Array(#"{"n": "\#(index)", "odd": \#(index % 2)}"#.utf8)
            )
        )
    }

    /// A task whose record is a full request.
    static func requestTask(_ index: Int) throws -> FlowTask {
        let request: JSONValue = [
            "custom_id": .string("request \(index)"), "method": "POST", "url": "/v1/chat/completions",
            "body": ["model": "other", "messages": [["role": "user", "content": .string("\(index)")]]],
        ]
        let record = Record(id: "request \(index)", kind: .json, bytes: request.bytes)
        return FlowTask(batch: "b1", index: index, record: record)
    }

    /// Submits the records of tasks as another program does; returns the file with the requests.
    @discardableResult
    func submitByHand(_ tasks: [FlowTask]) async throws -> Preparation {
        let (provider, file) = (try provider(), try SpoolFile())
        var writer = SpoolFile.Writer(file)
        for task in tasks { try writer.add(task.record.bytes) }
        try writer.flush()
        let requests = BatchRequests(spool: file, size: writer.size, count: writer.lines, model: "other")
        let preparation = try await provider.prepare(requests, key: "by-hand")
        _ = try await provider.create(preparation, nil, key: "by-hand", batch: "none")
        await provider.shutDown()
        return preparation
    }

    /// Runs the tasks once, from the newest memo on.
    ///
    /// - Parameters:
    ///   - indices: The tasks; those with a result are left out.
    ///   - provider: The client; nil means the usual one.
    ///   - stopping: After how many memos of this run the worker is lost, so that the memo is stored and nothing more
    ///     happens.
    func run(
        _ indices: some Collection<Int>,
        by provider: (any BatchProvider)? = nil,
        stoppingAfter memos: Int? = nil,
        timeout: Duration? = nil,
        recorder: (any SubmissionRecorder)? = nil,
        tokens: Int? = nil,
        liveAt: ContinuousClock.Instant? = nil
    ) async throws {
        let tasks = indices.filter { results[$0] == nil }.map(Self.task)
        try await run(
            tasks: tasks,
            by: provider,
            stoppingAfter: memos,
            timeout: timeout,
            recorder: recorder,
            tokens: tokens,
            liveAt: liveAt
        )
    }

    /// Runs tasks once, from the newest memo on.
    func run(
        tasks: [FlowTask],
        by provider: (any BatchProvider)? = nil,
        stoppingAfter memos: Int? = nil,
        timeout: Duration? = nil,
        recorder: (any SubmissionRecorder)? = nil,
        tokens: Int? = nil,
        liveAt: ContinuousClock.Instant? = nil
    ) async throws {
        let provider = try provider ?? self.provider()
        var pace = SubmissionPace(longest: .milliseconds(200))
        pace.tries = 3
        var thresholds = SubmissionThresholds()
        thresholds.tokens = tokens
        let flow = SubmissionFlow(provider, thresholds: thresholds, pace: pace)
        let definition = FlowDefinition(name: "f", flow: flow, timeout: timeout)
        let context = SubmissionContext(recorder: recorder, liveAt: liveAt)
        let resumed = self.memos.last
        state.withLock { state in state.stop = memos.map { state.memos.count + $0 } }
        let end = await definition.attempt(bulk: BulkTasks(tasks), resuming: resumed, context: context) { memo in
            try self.state.withLock { state in
                if let stop = state.stop, state.memos.count >= stop { throw CancellationError() }
                state.memos.append(memo)
            }
            if self.state.withLock({ $0.stop == $0.memos.count }) { throw CancellationError() }
        } ended: { position, result in
            if case .throttled = result {
                return self.state.withLock { $0.results[-1 - tasks[position].index, default: []].append(result) }
            }
            self.state.withLock { $0.results[tasks[position].index, default: []].append(result) }
        }
        state.withLock { $0.end = end }
        await provider.shutDown()
    }

    /// Runs until no task waits for the provider.
    func runToTheEnd(_ indices: some Collection<Int>) async throws {
        for _ in 0..<1_000 where indices.contains(where: { results[$0] == nil }) { try await run(indices) }
    }

    /// Returns the error of a task.
    func error(_ index: Int) -> FlowError? {
        if case .failure(let error) = results[index]?.first { error } else { nil }
    }

    /// Returns the message with which the provider asked for a pause.
    func throttle(_ index: Int) -> String? {
        if case .throttled(let throttle) = results[-1 - index]?.last { throttle.message } else { nil }
    }

    /// The sum of the usage.
    var usage: Usage {
        results.values.reduce(into: Usage()) { sum, results in
            for case .success(let output) in results { sum += output.usage }
        }
    }
}
