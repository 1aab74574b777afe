import Foundation
import Logging
import Sheaf
import SheafBroker
import SheafCore
import SheafFlows
import Testing

/// The brokers on which every test runs.
enum BrokerKind: String, CaseIterable, CustomTestStringConvertible {
    case embedded
    case rabbitMQ

    var testDescription: String { rawValue }
}

/// The environment of one test: its own broker, or its own namespace in the shared one.
struct Stage: Sendable {
    let reference: BrokerReference
    let namespace: Name

    /// Runs a test on a fresh stage, within a time-out.
    static func with(
        _ kind: BrokerKind,
        timeout: Duration = .seconds(120),
        _ body: @escaping @Sendable (Stage) async throws -> Void
    ) async throws {
        let name = "t" + UUID().uuidString.prefix(8).lowercased()
        let namespace = try #require(Name(name))
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("sheaf-\(name)")
        let reference: BrokerReference
        switch kind {
        case .embedded:
            reference = .embedded(directory: folder.path)
        case .rabbitMQ:
            let url = ProcessInfo.processInfo.environment["SHEAF_TEST_AMQP_URL"]
            reference = .rabbitMQ(
                url: try #require(url, "no RabbitMQ: run the tests by `make test`, or set SHEAF_TEST_AMQP_URL")
            )
        }
        defer { try? FileManager.default.removeItem(at: folder) }
        let stage = Stage(reference: reference, namespace: namespace)
        try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask {
                try await body(stage)
                return true
            }
            group.addTask {
                try await Task.sleep(for: timeout)
                return false
            }
            defer { group.cancelAll() }
            let isDone = try await group.next()
            #expect(isDone == true, "the test took longer than \(timeout)")
        }
    }

    /// Runs the body with a connection of its own.
    func client<Result: Sendable>(_ body: (SheafClient) async throws -> Result) async throws -> Result {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        return try await SheafClient.withClient(broker: reference, namespace: namespace, logger: logger, body)
    }

    /// Runs a worker on a connection of its own and returns what it did.
    @discardableResult
    func work(
        _ flows: [FlowDefinition],
        _ change: (inout WorkerConfiguration) -> Void = { _ in }
    ) async throws -> WorkerReport {
        var configuration = WorkerConfiguration(
            flows: flows,
            untilEmpty: true,
            name: "w-\(UUID().uuidString.prefix(4))"
        )
        change(&configuration)
        let settled = configuration
        return try await client { client in
            let worker = Worker(client: client, configuration: settled)
            try await worker.run()
            return worker.report
        }
    }
}

/// A flow made of a closure.
struct ClosureFlow: Flow {
    let body: @Sendable (FlowTask) async throws -> FlowOutput

    func run(_ task: FlowTask) async throws -> FlowOutput { try await body(task) }
}

extension FlowDefinition {
    /// A flow named `work` made of a closure.
    static func work(
        timeout: Duration? = nil,
        retries: Int = 0,
        _ body: @escaping @Sendable (FlowTask) async throws -> FlowOutput
    ) throws -> FlowDefinition {
        let name = try #require(Name("work"))
        return FlowDefinition(name: name, flow: ClosureFlow(body: body), timeout: timeout, retries: retries)
    }
}

/// A plan for the flow named `work`.
func plan(_ change: (inout BatchPlan) -> Void = { _ in }) throws -> BatchPlan {
    var plan = BatchPlan(flow: try #require(Name("work")))
    change(&plan)
    return plan
}

/// Records `{"n":0}`, `{"n":1}` and so on.
func records(_ count: Int) -> AsyncStream<Record> {
    AsyncStream { continuation in
        for number in 0..<count {
            continuation.yield(Record(id: "r\(number)", kind: .json, bytes: Array(#"{"n":\#(number)}"#.utf8)))
        }
        continuation.finish()
    }
}

extension SheafClient {
    /// All outcomes of a batch, by index.
    func allResults(_ batch: Name, ordered: Bool = false) async throws -> [Outcome] {
        var outcomes: [Outcome] = []
        for try await chunk in try await results(of: batch.text, ordered: ordered) { outcomes += chunk }
        return outcomes
    }
}

/// Counts how many callers are inside at the same time.
actor Gauge {
    private(set) var now = 0
    private(set) var most = 0
    private(set) var total = 0

    func enter() {
        now += 1
        total += 1
        most = max(most, now)
    }

    func leave() { now -= 1 }
}

/// A gate that opens once, for all waiting tasks.
actor Gate {
    private var isOpen = false
    private var waiting: [CheckedContinuation<Void, Never>] = []

    func open() {
        isOpen = true
        for continuation in waiting { continuation.resume() }
        waiting = []
    }

    func wait() async {
        if isOpen { return }
        await withCheckedContinuation { waiting.append($0) }
    }
}
