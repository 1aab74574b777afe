import Logging
import Sheaf
import SheafBroker
import SheafCore
import SheafFlows
import SheafTestSupport
import Synchronization
import Testing

@Suite("Blocked broker") struct BlockedTests {
    @Test("A worker starts no tasks while it cannot write outcomes", arguments: BrokerKind.allCases)
    func nothingNewIsStartedWhileOutcomesCanNotBeWritten(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let gauge = Gauge()
            let flow = try FlowDefinition.work { _ in
                await gauge.enter()
                try await Task.sleep(for: .milliseconds(50))
                await gauge.leave()
                return .value(1)
            }
            let lines = Lines()
            let unhindered = try await SheafClient.connect(to: stage.reference, namespace: stage.namespace)
            let broker = AlarmBroker(unhindered.broker)
            let client = try await SheafClient(broker: broker, namespace: stage.namespace, logger: lines.logger)
            let batch = try await client.create(plan(), records: records(200))
            let results = client.names.results(batch: batch.id)
            let worker = Worker(
                client: client,
                configuration: WorkerConfiguration(flows: [flow], concurrency: 4, untilEmpty: true)
            )
            async let working: Void = worker.run()
            try await until("tasks run") { await gauge.total > 10 }
            broker.block(results)
            try await until("the worker logs that it waits") { lines.count(of: "takes no outcomes for now") == 1 }
            try await until("running tasks have ended") { await gauge.now == 0 }
            let begun = await gauge.total
            let settled = try await client.batch(batch.id.text).counts.settled
            #expect(begun > settled)
            // Long enough for some attempts to write and for many tasks.
            try await until("it has tried again") { broker.refusals >= 6 }
            #expect(await gauge.total == begun, "tasks were started while no outcome could be written")
            #expect(try await client.batch(batch.id.text).counts.settled == settled)
            broker.block(nil)
            try await working
            #expect(await gauge.total == 200, "a task that had ended was run again")
            #expect(try await client.batch(batch.id.text).counts == BatchCounts(succeeded: 200))
            // Once and not for every attempt; a busy machine may cause one wait of its own.
            let waits = lines.count(of: "takes no outcomes for now")
            #expect((1...3).contains(waits) && lines.count(of: "takes outcomes again") == waits)
            await client.close()
        }
    }
}

/// Collects log lines.
private final class Lines: Sendable {
    private let lines = Mutex<[String]>([])

    var logger: Logger { Logger(label: "test") { _ in Handler(lines: self) } }

    func count(of text: String) -> Int { lines.withLock { $0.count { $0.contains(text) } } }

    private struct Handler: LogHandler {
        let lines: Lines
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.warning

        init(lines: Lines) { self.lines = lines }

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) { lines.lines.withLock { $0.append("\(event.message)") } }
    }
}
