import Sheaf
import SheafBroker
import SheafCore
import SheafFlows
import SheafTestSupport
import SheafTesting
import Synchronization
import Testing

@testable import SheafBatches
@testable import SheafWorker

@Suite("Bulks when something goes wrong") struct BulkFaultTests {
    @Test("A late outcome of the previous worker does not dissolve a bulk", arguments: BrokerKind.allCases)
    func lateOutcome(kind: BrokerKind) async throws {
        try await Stage.aggregating(kind) { stage, client in
            let provider = JobProvider()
            var flow = JobFlow(provider: provider)
            let batch = try await client.create(plan(), records: records(6))
            try await stage.losing(flow) {
                try await until("the job is submitted") { await provider.submissions.joined().count == 6 }
            }
            let submissions = await provider.submissions
            await provider.answerAll()
            flow.before = { tasks, _ in
                guard tasks.contains(where: { $0.index == 4 }) else { return }
                let now = Timestamp.now
                let outcome = Outcome(
                    index: 4,
                    generation: 0,
                    status: .succeeded,
                    recordID: "r4",
                    attempts: 1,
                    startedAt: now,
                    finishedAt: now,
                    worker: "lost"
                )
                var line: [UInt8] = []
                outcome.writeLine(to: &line)
                let message = ResultMessage.outcomes(batch: batch.id, lines: line)
                try await client.broker.append(message, to: client.names.results(batch: batch.id))
            }
            #expect(try await stage.work([flow.definition()]).succeeded == 5)
            #expect(await provider.submissions == submissions, "nothing is submitted twice")
            #expect(await provider.jobs.values.allSatisfy { !$0.isCancelled && $0.attached == [$0.tasks] })
            #expect(try await outcomeIndices(in: client.events(of: batch.id)).sorted() == Array(0..<6))
        }
    }

    @Test("The tasks of a bulk that is taken over count against the limit of a worker", arguments: BrokerKind.allCases)
    func adoptedTasksCount(kind: BrokerKind) async throws {
        try await Stage.aggregating(kind) { stage, client in
            let provider = JobProvider()
            var flow = JobFlow(provider: provider)
            _ = try await client.create(plan(), records: records(6))
            try await stage.losing(flow) {
                try await until("the job is submitted") { await provider.submissions.joined().count == 6 }
            }
            await provider.answerAll()
            flow.before = { _, memo in if memo != nil { _ = try await client.create(plan(), records: records(3)) } }
            let report = try await stage.work([flow.definition()]) { $0.maxTasks = 6 }
            #expect(report.succeeded == 6)
        }
    }

    @Test("A bulk that has lost one of its tasks is handed over with its memo", arguments: BrokerKind.allCases)
    func lostMember(kind: BrokerKind) async throws {
        try await Stage.aggregating(kind) { stage, client in
            let (provider, calls) = (JobProvider(), Gauge())
            var flow = JobFlow(provider: provider)
            let batch = try await client.create(plan(), records: records(6))
            try await stage.losing(flow) {
                try await until("the job is submitted") { await provider.submissions.joined().count == 6 }
            }
            let submissions = await provider.submissions
            await provider.answerAll()
            flow.before = { tasks, memo in
                guard memo != nil, tasks.contains(where: { $0.index == 4 }) else { return }
                await calls.enter()
                guard await calls.total == 1 else { return }
                let log = client.names.results(batch: batch.id)
                for entry in try await client.entries(of: log) {
                    guard let lease = TaskLease(entry.message), lease.index == 4,
                        let task = TaskLease.task(of: entry.message)
                    else { continue }
                    let queue = client.names.tasks(flow: task.flow, batch: batch.id, generation: 0)
                    try await client.broker.publish(TaskLease.returning(task.message, from: lease.id), to: queue)
                    try await client.broker.append(ResultMessage.returned(batch: batch.id, lease: lease.id), to: log)
                }
            }
            #expect(try await stage.work([flow.definition()]).succeeded == 6)
            #expect(await provider.submissions == submissions + [[4]], "only the returned task is submitted again")
            #expect(await provider.jobs.values.allSatisfy { !$0.isCancelled })
            #expect(try await outcomeIndices(in: client.events(of: batch.id)).sorted() == Array(0..<6))
        }
    }

    @Test("A bulk of a lost worker is taken over while all slots wait for its job", arguments: BrokerKind.allCases)
    func allSlotsWait(kind: BrokerKind) async throws {
        try await Stage.aggregating(kind) { stage, client in
            let provider = JobProvider()
            let flow = JobFlow(provider: provider)
            var waiting = flow
            // As with a limit to what a provider has at a time: it accepts nothing before something has ended.
            waiting.before = { _, memo in
                guard memo == nil else { return }
                while await provider.attached.isEmpty { try await Task.sleep(for: .milliseconds(5)) }
                await provider.answerAll()
            }
            let first = try await client.create(plan(), records: records(3))
            async let losing: Void = stage.losing(flow, of: first.id) {
                try await until("the only slot of another worker waits") {
                    guard let second = try await client.batches().first(where: { $0.info.id != first.id }) else {
                        return false
                    }
                    return try await bulkActions(in: client.events(of: second.info.id)).contains(.begun)
                }
            }
            try await until("the job is submitted") { await provider.submissions.joined().count == 3 }
            _ = try await client.create(plan(), records: records(2))
            async let working = stage.work([waiting.definition()]) { $0.concurrency = 1 }
            try await losing
            #expect(try await working.succeeded == 5)
            #expect(await provider.submissions.joined().count == 5, "nothing is submitted twice")
        }
    }

    @Test("A bulk is taken over whole beside a copy of one of its tasks", arguments: BrokerKind.allCases)
    func copyBesideBulk(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let provider = JobProvider()
            let flow = JobFlow(provider: provider, maximumTasks: 3).definition()
            try await stage.client { client in
                let batch = try await client.create(plan(), records: records(3))
                let leaving = Task { try await stage.work([flow]) { $0.concurrency = 1 } }
                try await until("the job is submitted") { await provider.submissions.joined().count == 3 }
                leaving.cancel()
                _ = await leaving.result
                let submissions = await provider.submissions
                try #require(submissions.count == 1)
                let queue = client.names.tasks(flow: Name("work"), batch: batch.id, generation: 0)
                let suspects = client.names.suspects(flow: Name("work"))
                let standIn = try #require(await client.broker.get(suspects))
                let bulk = try #require(BulkHandOver(standIn.message)).bulk
                let first = try BatchTask(standIn.message).index
                let tasks = try await client.entries(of: client.names.results(batch: batch.id)).compactMap {
                    TaskLease.task(of: $0.message)
                }
                let copy = try #require(tasks.first { $0.index != first })
                await provider.answerAll()
                try await client.broker.publish(copy.message, to: queue)
                async let working = stage.work([flow]) { configuration in
                    configuration.concurrency = 2
                    configuration.timing.bulkGathering.patience = .seconds(2)
                }
                try await until("a slot gathers the copy") {
                    try await bulkLeases(in: client.events(of: batch.id)).contains {
                        $0.index == copy.index && $0.bulk != bulk
                    }
                }
                try await client.broker.publish(standIn.message, to: suspects)
                try await client.broker.settle(standIn, as: .acknowledged)
                #expect(try await working.succeeded == 3)
                #expect(await provider.submissions == submissions)
                #expect(await provider.attached == [[0, 1, 2]])
                #expect(try await outcomeIndices(in: client.events(of: batch.id)).sorted() == [0, 1, 2])
            }
        }
    }

    @Test("A worker returns its bulk once the broker takes tasks again", arguments: BrokerKind.allCases)
    func refusedReturn(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let flow = JobFlow(provider: JobProvider(answersAll: true), maximumTasks: 1_000)
            let unhindered = try await SheafClient.connect(to: stage.reference, namespace: stage.namespace)
            let broker = RefusingBroker(unhindered.broker)
            let client = try await SheafClient(broker: broker, namespace: stage.namespace, logger: unhindered.logger)
            let batch = try await unhindered.create(plan(), records: records(600))
            var configuration = WorkerConfiguration(flows: [flow.definition()], concurrency: 1, untilEmpty: true)
            configuration.timing.bulkGathering.patience = .seconds(3)
            // Long enough to publish the tasks also on a busy machine.
            configuration.timing.returnPatience = .seconds(2)
            let worker = Worker(client: client, configuration: configuration)
            async let working: Void = worker.run()
            try await until("all tasks are leased") {
                try await bulkLeases(in: unhindered.events(of: batch.id)).count == 600
            }
            broker.refuse(true)
            _ = try await unhindered.pause(batch.id.text)
            try await until("the worker has tried to return them more than once") { broker.refusals >= 6 }
            _ = try await unhindered.resume(batch.id.text)
            // Otherwise, the worker might leave because it only knows of the pause.
            let refusals = broker.refusals
            try await until("the worker has tried longer than the news takes") { broker.refusals >= refusals + 6 }
            broker.refuse(false)
            try await working
            #expect(worker.report.succeeded == 600)
            let outcomes = try await unhindered.allResults(batch.id)
            #expect(outcomes.count == 600 && outcomes.allSatisfy { $0.attempts == 1 })
            await unhindered.close()
        }
    }

    @Test(
        "Losing a worker that gathers changes nothing, and one whose flow had begun leads to smaller bulks",
        arguments: BrokerKind.allCases,
        [false, true]
    )
    func lostWithoutMemo(kind: BrokerKind, hasBegun: Bool) async throws {
        try await Stage.aggregating(kind) { stage, client in
            let provider = JobProvider(answersAll: true)
            let flow = JobFlow(provider: provider)
            let batch = try await client.create(plan(), records: records(3))
            let queue = client.names.tasks(flow: Name("work"), batch: batch.id, generation: 0)
            let begun = hasBegun ? [begun("bulk", of: batch.id)] : []
            var deliveries: [Delivery] = []
            for _ in 0..<3 { deliveries.append(try #require(await client.broker.get(queue))) }
            let leases = try deliveries.map { delivery in
                let task = try BatchTask(delivery.message)
                return TaskLease(of: task, in: "bulk", worker: "gone").message(of: task)
            }
            try await client.broker.append(leases + begun, to: client.names.results(batch: batch.id))
            for delivery in deliveries { try await client.broker.settle(delivery, as: .acknowledged) }
            let info = try await client.batch(batch.id.text).info
            try await until("the tasks are in their queue again") { try await client.waiting(in: info) == 3 }
            #expect(try await stage.work([flow.definition()]).succeeded == 3)
            #expect(await provider.submissions.map(\.count) == (hasBegun ? [1, 1, 1] : [3]))
            let written = try await bulkLeases(in: client.events(of: batch.id))
            #expect(written.map(\.losses) == [0, 0, 0] + Array(repeating: hasBegun ? 1 : 0, count: 3))
            let outcomes = try await client.allResults(batch.id)
            #expect(outcomes.count == 3 && outcomes.allSatisfy { $0.attempts == 1 })
        }
    }

    @Test("A task that ends each worker alone uses up its attempts", arguments: BrokerKind.allCases)
    func endingWorkers(kind: BrokerKind) async throws {
        try await Stage.aggregating(kind) { _, client in
            let batch = try await client.create(plan(), records: records(1))
            let queue = client.names.tasks(flow: Name("work"), batch: batch.id, generation: 0)
            let info = try await client.batch(batch.id.text).info
            for round in 0..<5 {
                try await until("the task is in its queue") { try await client.waiting(in: info) == 1 }
                let delivery = try #require(await client.broker.get(queue))
                let task = try BatchTask(delivery.message)
                #expect(task.attempt == max(1, round - 2))
                let losses = TaskLease.losses(of: delivery.message)
                #expect(losses == min(round, 3))
                #expect(BulkGathering.limit(1_000, afterLosing: losses) == [1_000, 100, 10, 1, 1][round])
                // Another one each time: of one that is known to be lost, a lease may count before it has begun.
                var lease = TaskLease(of: task, in: "bulk\(round)", worker: "gone\(round)")
                lease.predecessor = TaskLease.predecessor(of: delivery.message)
                lease.losses = losses
                let log = client.names.results(batch: batch.id)
                let messages = [lease.message(of: task), begun("bulk\(round)", of: batch.id)]
                try await client.broker.append(messages, to: log)
                try await client.broker.settle(delivery, as: .acknowledged)
            }
        }
    }

    @Test("Tasks that came back too often without running join a bulk as any other", arguments: BrokerKind.allCases)
    func suspects(kind: BrokerKind) async throws {
        try await Stage.aggregating(kind) { stage, client in
            let provider = JobProvider(answersAll: true)
            let batch = try await client.create(plan(), records: records(3))
            let queue = client.names.tasks(flow: Name("work"), batch: batch.id, generation: 0)
            let suspects = client.names.suspects(flow: batch.flow)
            try await until("the tasks are suspects") {
                while let delivery = try await client.broker.get(queue) {
                    try await client.broker.settle(delivery, as: .returned)
                }
                return try await client.broker.queueStatus(suspects)?.ready == 3
            }
            #expect(try await stage.work([JobFlow(provider: provider).definition()]).succeeded == 3)
            #expect(await provider.submissions.map(\.count).reduce(0, +) == 3)
            let outcomes = try await client.allResults(batch.id)
            #expect(outcomes.count == 3 && outcomes.allSatisfy { $0.attempts == 1 })
            #expect(try await client.broker.queueStatus(suspects)?.ready ?? 0 == 0)
        }
    }

    /// The entry that the flow begins with a bulk.
    private func begun(_ bulk: String, of batch: Name) -> Message {
        BulkEvent(bulk: bulk, turn: 0, .begun).message(of: batch)
    }
}

/// A broker that refuses to publish to queues while a test wants it to.
private final class RefusingBroker: BrokerWrapper {
    let inner: any Broker
    private let isRefusing = Atomic(false)
    private let count = Atomic(0)

    init(_ inner: any Broker) { self.inner = inner }

    /// How many calls were refused.
    var refusals: Int { count.load(ordering: .relaxed) }

    func refuse(_ isRefusing: Bool) { self.isRefusing.store(isRefusing, ordering: .relaxed) }

    func publish(_ messages: [Message], to queue: String) async throws {
        if isRefusing.load(ordering: .relaxed) {
            count.add(1, ordering: .relaxed)
            throw BrokerError(.blocked, "the broker refuses tasks in this test")
        }
        try await inner.publish(messages, to: queue)
    }
}
