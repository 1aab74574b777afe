import Sheaf
import SheafBroker
import SheafCore
import SheafFlows
import SheafTestSupport
import SheafTesting
import Synchronization
import Testing

@Suite struct ReturningTests {
    @Test("Pausing a batch many times makes no suspects", arguments: BrokerKind.allCases)
    func pausingAgainAndAgainMakesNoSuspects(kind: BrokerKind) async throws {
        try await Stage.with(kind, timeout: .seconds(180)) { stage in
            let gauge = Gauge()
            let flow = try FlowDefinition.work { _ in
                await gauge.enter()
                try await Task.sleep(for: .milliseconds(5))
                await gauge.leave()
                return .value(1)
            }
            let total = 10_000
            try await stage.client { client in
                let batch = try await client.create(plan(), records: records(total))
                let queue = client.names.tasks(flow: batch.flow, batch: batch.id, generation: 0)
                let worker = Worker(client: client, configuration: WorkerConfiguration(flows: [flow], concurrency: 40))
                let working = Task { try await worker.run() }
                let record = try await client.batch(batch.id.text).record
                // A round ends some time after its pause was said: how many tasks it takes depends on the machine.
                var round = 0
                while round < 12, await gauge.total < total - 2000 {
                    round += 1
                    let before = await gauge.total
                    try await until("tasks run in round \(round)") { await gauge.total > before + 20 }
                    try await client.journal(.paused, record)
                    try await until("all tasks are returned in round \(round)") {
                        guard await gauge.now == 0 else { return false }
                        let status = try #require(try await client.broker.queueStatus(queue))
                        let settled = try await client.batch(batch.id.text).counts.settled
                        // RabbitMQ takes back what is on its way when a consumer ends, and perhaps what runs.
                        return status.consumers == 0 && status.ready >= total - settled
                    }
                    try await client.journal(.resumed(tolerated: 0), record)
                }
                try await until("all have run") {
                    try await client.batch(batch.id.text).counts.settled == total
                }
                working.cancel()
                _ = await working.result
                #expect(round > 1 && worker.report.returned > 0, "tasks were prefetched and returned")
                #expect(try await client.batch(batch.id.text).counts == BatchCounts(succeeded: total))
                #expect(await gauge.total == total)
                let suspects = client.names.suspects(flow: batch.flow)
                #expect(try await client.broker.queueStatus(suspects)?.ready == 0)
                #expect(try await client.entries(of: client.names.dead).isEmpty)
            }
        }
    }

    @Test("A suspect that is returned is neither lost nor counted", arguments: BrokerKind.allCases)
    func aReturnedSuspectIsNeitherLostNorCounted(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let gauge = Gauge()
            let stuck = try FlowDefinition.work { _ in
                await gauge.enter()
                try await Task.sleep(for: .seconds(60))
                return .value(1)
            }
            try await stage.client { client in
                let batch = try await client.create(plan(), records: records(1))
                let queue = client.names.tasks(flow: batch.flow, batch: batch.id, generation: 0)
                let suspects = client.names.suspects(flow: batch.flow)
                let message = try #require(try await client.broker.get(queue))
                try await client.broker.publish(message.message, to: suspects)
                try await client.broker.settle(message, as: .acknowledged)
                // More often than a suspect may come back.
                for round in 1...5 {
                    let worker = Task { try await stage.work([stuck]) }
                    try await until("the suspect runs, time \(round)") { await gauge.total == round }
                    worker.cancel()
                    _ = await worker.result
                    #expect(try await client.broker.queueStatus(suspects)?.ready == 1)
                }
                let quick = try FlowDefinition.work { _ in .value(2) }
                try await stage.work([quick])
                let outcome = try #require(try await client.allResults(batch.id).first)
                #expect(outcome.status == .succeeded)
                #expect(outcome.attempts == 1)
            }
        }
    }

    @Test("Tasks of a consumer that the broker has ended are not lost", arguments: BrokerKind.allCases)
    func tasksOfAnEndedConsumerAreNotLost(kind: BrokerKind) async throws {
        try await Stage.with(kind, timeout: .seconds(60)) { stage in
            let (begun, open) = (Gate(), Gate())
            // While the first are quick, the worker fetches many ahead.
            let (quick, total) = (2_000, 4_000)
            let flow = try FlowDefinition.work { task in
                if task.index >= quick {
                    await begun.open()
                    await open.wait()
                }
                return .value(1)
            }
            try await stage.client { inner in
                let broker = EndingBroker(inner.broker)
                let client = try await SheafClient(broker: broker, namespace: stage.namespace)
                let batch = try await client.create(plan(), records: records(total))
                let configuration = WorkerConfiguration(flows: [flow], concurrency: 2, untilEmpty: true)
                let worker = Worker(client: client, configuration: configuration)
                async let working: Void = worker.run()
                await begun.wait()
                let count = broker.count
                broker.endConsumers()
                try await until("the worker consumes again") { broker.count > count }
                await open.open()
                try await working
                #expect(try await client.batch(batch.id.text).counts == BatchCounts(succeeded: total))
            }
        }
    }
}

/// A broker that can end consumers although their queues exist, and waits for what it has delivered to them.
private final class EndingBroker: BrokerWrapper {
    let inner: any Broker
    private let consumers = Mutex<[EndingConsumer]>([])

    init(_ inner: any Broker) { self.inner = inner }

    /// How many consumers there were.
    var count: Int { consumers.withLock { $0.count } }

    func endConsumers() {
        for consumer in consumers.withLock({ $0 }) { consumer.end() }
    }

    func consume(_ queue: String, prefetch: Int) async throws -> any QueueConsumer {
        let consumer = EndingConsumer(try await inner.consume(queue, prefetch: prefetch))
        consumers.withLock { $0.append(consumer) }
        return consumer
    }
}

private final class EndingConsumer: QueueConsumer {
    private let inner: any QueueConsumer
    /// Ends it and returns what had arrived.
    private let ending = Mutex<Task<[Delivery], any Error>?>(nil)
    private let isDrained = Mutex(false)

    init(_ inner: any QueueConsumer) { self.inner = inner }

    func end() {
        ending.withLock { $0 = $0 ?? Task { try await inner.cancel() } }
    }

    func next() async throws -> [Delivery]? {
        if let deliveries = try await inner.next() { return deliveries }
        guard let rest = try await ending.withLock({ $0 })?.value else { return nil }
        if !rest.isEmpty,
            isDrained.withLock({ isDrained in
                defer { isDrained = true }
                return !isDrained
            })
        {
            return rest
        }
        throw BrokerError(.connectionLost, "the broker has ended the consumer")
    }

    func cancel() async throws -> [Delivery] { try await inner.cancel() }
}
