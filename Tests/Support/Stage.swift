import Foundation
import Logging
package import Sheaf
package import SheafBroker
package import SheafCore
package import SheafFlows
import Testing

/// The environment of one test: its own broker, or its own namespace in the shared one.
package struct Stage: Sendable {
    package let reference: BrokerReference
    package let namespace: Name

    /// Runs a test on a fresh stage, within a time-out.
    package static func with(
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
    package func client<Result: Sendable>(_ body: (SheafClient) async throws -> Result) async throws -> Result {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        return try await SheafClient.withClient(broker: reference, namespace: namespace, logger: logger, body)
    }

    /// Runs a worker on a connection of its own and returns what it did.
    @discardableResult
    package func work(
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
package struct ClosureFlow: Flow {
    private let body: @Sendable (FlowTask) async throws -> FlowOutput

    package init(body: @escaping @Sendable (FlowTask) async throws -> FlowOutput) {
        self.body = body
    }

    package func run(_ task: FlowTask) async throws -> FlowOutput { try await body(task) }
}

extension FlowDefinition {
    /// A flow named `work` made of a closure.
    package static func work(
        timeout: Duration? = nil,
        retries: Int = 0,
        _ body: @escaping @Sendable (FlowTask) async throws -> FlowOutput
    ) throws -> FlowDefinition {
        FlowDefinition(name: "work", flow: ClosureFlow(body: body), timeout: timeout, retries: retries)
    }
}

/// A plan for the flow named `work`.
package func plan(_ change: (inout BatchPlan) -> Void = { _ in }) throws -> BatchPlan {
    var plan = BatchPlan(flow: "work")
    change(&plan)
    return plan
}

/// Records `{"n":0}`, `{"n":1}` and so on.
package func records(_ count: Int) -> AsyncStream<Record> {
    AsyncStream { continuation in
        for number in 0..<count {
            continuation.yield(Record(id: "r\(number)", kind: .json, bytes: Array(#"{"n":\#(number)}"#.utf8)))
        }
        continuation.finish()
    }
}

extension SheafClient {
    /// All outcomes of a batch, by index.
    package func allResults(_ batch: Name, ordered: Bool = false) async throws -> [Outcome] {
        var outcomes: [Outcome] = []
        for try await chunk in try await results(of: batch.text, ordered: ordered) { outcomes += chunk }
        return outcomes
    }
}

/// Counts how many callers are inside at the same time.
package actor Gauge {
    package private(set) var now = 0
    package private(set) var most = 0
    package private(set) var total = 0

    package init() {}

    package func enter() {
        now += 1
        total += 1
        most = max(most, now)
    }

    package func leave() { now -= 1 }
}

/// A gate that opens once, for all waiting tasks.
package actor Gate {
    private var isOpen = false
    private var waiting: [CheckedContinuation<Void, Never>] = []

    package init() {}

    package func open() {
        isOpen = true
        for continuation in waiting { continuation.resume() }
        waiting = []
    }

    package func wait() async {
        if isOpen { return }
        await withCheckedContinuation { waiting.append($0) }
    }
}
