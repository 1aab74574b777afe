import Logging
import Sheaf
import SheafBroker
import SheafCore
import SheafFlows
import SheafTestSupport
import SheafTesting
import Testing

@Suite("A third broker is added without an edit elsewhere") struct MemoryBrokerTests {
    private static let server = MemoryServer()

    @Test("The in-memory broker follows every rule", arguments: BrokerConformance.cases)
    func conforms(to rule: BrokerConformanceCase) async throws {
        try await rule.run { await MemoryBroker(Self.server) }
    }

    @Test("A batch runs on a broker that was registered by its scheme", .timeLimit(.minutes(1)))
    func batch() async throws {
        let brokers = BrokerRegistry.standard.adding(MemoryBroker.provider(MemoryServer()))
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        try await SheafClient.withClient(broker: BrokerReference("memory:"), brokers: brokers, logger: logger) {
            client in
            let batch = try await client.create(plan(), records: records(100))
            let flow = try FlowDefinition.work { task in
                if task.index == 7 { throw FlowError(type: "refused", message: "a test") }
                return .json(task.record.bytes)
            }
            let worker = Worker(
                client: client,
                configuration: WorkerConfiguration(flows: [flow], untilEmpty: true, name: "w")
            )
            try await worker.run()
            let summary = try await client.batch(batch.id.text)
            #expect(summary.counts == BatchCounts(succeeded: 99, failed: 1))
            let outcomes = try await client.allResults(batch.id, ordered: true)
            #expect(outcomes.map(\.index) == Array(0..<100))
        }
    }

    @Test("An unknown scheme is an error that names the known ones and no password")
    func unknownScheme() async throws {
        let error = await #expect(throws: BrokerError.self) {
            _ = try await SheafClient.connect(to: BrokerReference("nats://me:hidden@host"))
        }
        #expect(error?.code == .invalidArgument)
        #expect(
            error?.message
                == "cannot open broker nats://me@host: the scheme 'nats' is unknown; known are amqp, amqps, embedded"
        )
    }

    @Test(
        "A reference is parsed and printed by its scheme",
        arguments: [
            ("memory:", "memory", "", "memory:"), ("memory:x", "memory", "x", "memory:x"),
            ("amqp://me:secret@h/v?password=secret", "amqp", "//me:secret@h/v?password=secret", "amqp://me@h/v"),
            ("AMQPS://me:secret@h", "amqps", "//me:secret@h", "amqps://me@h"),
            ("x-y+1.z://me:secret@h", "x-y+1.z", "//me:secret@h", "x-y+1.z://me@h"),
            ("x:me:secret@h", "x", "me:secret@h", "x:me@h"),
            ("embedded:/a@b?c", "embedded", "/a@b?c", "embedded:/a@b?c"),
            ("/data/.sheaf", "embedded", "/data/.sheaf", "embedded:/data/.sheaf"),
            ("./a:b", "embedded", "./a:b", "embedded:./a:b"), (":", "embedded", ":", "embedded::"),
        ]
    )
    func references(text: String, scheme: String, address: String, shown: String) {
        let reference = BrokerReference(text)
        #expect(reference.scheme == scheme)
        #expect(reference.address == address)
        #expect("\(reference)" == shown)
        var dumped = ""
        dump(reference, to: &dumped)
        #expect(!"\(dumped) \(String(reflecting: reference))".contains("secret"))
    }
}
