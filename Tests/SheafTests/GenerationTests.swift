import Sheaf
import SheafBroker
import SheafCore
import SheafFlows
import SheafTestSupport
import Testing

@Suite("Generations of tasks") struct GenerationTests {
    /// Declares the queue of a later generation, as a retry does.
    private func declare(_ generation: Int, of record: BatchInfo, _ client: SheafClient) async throws -> String {
        let name = client.names.tasks(flow: record.flow, batch: record.id, generation: generation)
        try await client.broker.declareQueue(
            QueueDeclaration(
                name: name,
                kind: .work(
                    deliveryLimit: 3,
                    deadLetter: .queue(client.names.suspects(flow: record.flow)),
                    acceptsDelayed: true
                )
            )
        )
        return name
    }

    @Test("Tasks of all generations run, and a retry lifts the stop of a batch", arguments: BrokerKind.allCases)
    func tasksOfAllGenerationsAreRunAndAHaltEndsWithThem(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            // Records which tasks ran, as index and attempt; the first run of task 0 stops the batch.
            let (gauge, failed) = (Gauge(), Gate())
            let flow = try FlowDefinition.work { task in
                await gauge.enter()
                if task.index == 0, await gauge.total == 1 {
                    await failed.open()
                    throw FlowError(type: "broken", message: "once")
                }
                return .value(1)
            }
            let stopping = try plan { $0.options.errorPolicy = .stop(above: 0) }
            try await stage.client { client in
                let batch = try await client.create(stopping, records: records(20))
                let worker = Task {
                    try await stage.work([flow]) {
                        $0.concurrency = 1
                        $0.untilEmpty = false
                    }
                }
                await failed.wait()
                try await until("the batch is stopped") {
                    try await client.batch(batch.id.text).info.stopped != nil
                }
                let info = try await client.batch(batch.id.text).info
                #expect(info.continuations == 0)
                // Reopens task 0 while the others still wait in the queue of the first generation.
                let queue = try await declare(1, of: info, client)
                let task = BatchTask(
                    flow: info.flow,
                    batch: info.id,
                    index: 0,
                    generation: 1,
                    record: Record(id: "r0", kind: .json, bytes: Array("{}".utf8))
                )
                let tasks = IndexRanges(rising: [0])
                let reopened = ResultMessage.reopened(batch: info.id, generation: 1, nonce: "n", tasks: tasks)
                try await client.broker.append(reopened, to: client.names.results(batch: info.id))
                try await client.journal(.retried(generation: 1, nonce: "n", count: 1, tolerated: 1), info)
                try await client.broker.publish(task.message, to: queue)
                try await until("all tasks have run") { await gauge.total == 21 }
                try await until("both queues are empty") {
                    let (old, new) = (
                        try await client.waiting(in: info), try await client.waiting(in: info, generation: 1)
                    )
                    return old + new == 0
                }
                let outcomes = try await client.events(of: info.id).flatMap { event -> [OutcomeSummary] in
                    if case .outcomes(let outcomes, _) = event { outcomes } else { [] }
                }
                #expect(outcomes.count { $0.generation == 1 && $0.index == 0 && $0.status == .succeeded } == 1)
                worker.cancel()
                _ = await worker.result
            }
        }
    }

    @Test("Tasks of a deleted batch are dropped", arguments: BrokerKind.allCases)
    func tasksOfADeletedBatchAreForgotten(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let gauge = Gauge()
            let flow = try FlowDefinition.work { _ in
                await gauge.enter()
                return .value(1)
            }
            try await stage.client { client in
                let batch = try await client.create(plan(), records: records(1))
                let info = try await client.batch(batch.id.text).info
                let queue = client.names.tasks(flow: batch.flow, batch: batch.id, generation: 0)
                let suspects = client.names.suspects(flow: batch.flow)
                let delivery = try #require(try await client.broker.get(queue))
                try await client.journal(.deleted, info)
                try await client.broker.publish(delivery.message, to: suspects)
                try await client.broker.settle(delivery, as: .acknowledged)
                try await stage.work([flow]) { configuration in
                    configuration.untilEmpty = false
                    // No delivery is held longer than this: the suspect is dropped by then.
                    configuration.idleTimeout = .seconds(10)
                }
                #expect(try await client.broker.queueStatus(suspects)?.ready == 0)
                #expect(await gauge.total == 0)
            }
        }
    }
}
