import SheafBroker
import SheafCore
import SheafFlows
import SheafTestSupport
import SheafTesting
import Synchronization
import Testing

@testable import SheafBatches
@testable import SheafWorker

/// Copies of outcomes on RabbitMQ, whose topics the embedded broker does not have.
@Suite("Fan-out") struct FanOutTests {
    /// A queue that collects copies.
    private actor Collector {
        private let client: SheafClient
        private let consumer: any QueueConsumer
        private(set) var messages: [Message] = []

        init(_ client: SheafClient, _ keys: [String] = ["#"]) async throws {
            let topics = try #require(client.broker as? any TopicBroker)
            self.client = client
            consumer = try await topics.subscribe(to: client.names.outcomes, keys: keys, limit: 100_000)
        }

        /// Receives until a message is wanted no longer, and returns all messages so far.
        @discardableResult
        func collect(until isLast: @Sendable ([Message]) -> Bool) async throws -> [Message] {
            while !isLast(messages) {
                let consumer = consumer
                let problem = "no such copies; there are \(messages.map(\.id))"
                let arrived = try await withTimeLimit(.seconds(30), problem) { try await consumer.next() }
                guard let arrived else { break }
                messages += arrived.map(\.message)
                try await client.broker.settle(arrived, as: .acknowledged)
            }
            return messages
        }
    }

    private static let isFinished: @Sendable ([Message]) -> Bool = { $0.contains { $0.type == "finished" } }

    /// Leads as the aggregator until the body returns.
    private func aggregating(_ client: SheafClient, _ body: @escaping @Sendable () async throws -> Void) async throws {
        let journal = try await Journal.read(from: client)
        let timing = AggregatorTiming(interval: .milliseconds(50), progressInterval: .milliseconds(50))
        let aggregator = Aggregator(client: client, journal: journal, timing: timing)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await journal.run() }
            group.addTask { try await aggregator.run() }
            group.addTask { try await body() }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    private func report(_ client: SheafClient, until isWanted: @escaping @Sendable (LatestProgress) -> Bool)
        async throws
    {
        try await withTimeLimit(.seconds(30), "no such report") {
            var latest = LatestProgress()
            try await client.broker.follow(client.names.progress, from: .last) { chunk in
                latest.apply(chunk)
                return !isWanted(latest)
            }
        }
    }

    @Test("A bound queue gets the row of each outcome and the end of the batch")
    func rows() async throws {
        try await Stage.with(.rabbitMQ) { stage in
            try await stage.client { client in
                let all = try await Collector(client)
                let failed = try await Collector(client, ["work.*.failed", "*.*.finished"])
                let batch = try await client.create(plan(), records: records(1_000))
                try await stage.work([
                    .work { task in
                        if task.index % 100 == 7 { throw FlowError(type: "odd", message: "on purpose") }
                        return .value(.integer(task.index))
                    }
                ])
                let copies = try await all.collect(until: Self.isFinished)
                var rows: [String: String] = [:]
                for outcome in try await client.allResults(batch.id) {
                    var row: [UInt8] = []
                    outcome.writeRow(batch: batch.id, to: &row)
                    rows["\(batch.id):\(outcome.index):0"] = String(decoding: row, as: UTF8.self)
                }
                let outcomes = copies.filter { $0.type == "outcome" }
                let copied = outcomes.map { ($0.id, String(decoding: $0.body, as: UTF8.self)) }
                #expect(Dictionary(copied) { first, _ in first } == rows && rows.count == 1_000)
                #expect(outcomes.count == 1_000, "nothing was interrupted, so nothing is copied twice")
                #expect(outcomes.first?.string("sheaf-flow") == "work")
                #expect(outcomes.first?.string("sheaf-batch") == batch.id.text)
                let end = try #require(copies.last)
                #expect(end.type == "finished" && end.string("sheaf-status") == "completed")
                #expect(try JSON.parse(end.body)["counts"]?["failed"]?.intValue == 10)
                let some = try await failed.collect(until: Self.isFinished)
                #expect(some.count == 11 && some.dropLast().allSatisfy { $0.string("sheaf-status") == "failed" })
            }
        }
    }

    @Test("The next aggregator continues where the previous one stopped copying")
    func takingOver() async throws {
        try await Stage.with(.rabbitMQ) { stage in
            try await stage.client { client in
                let queue = try await Collector(client)
                let batch = try await client.create(plan(), records: records(30))
                try await aggregating(client) {
                    try await client.runByHand(batch, atMost: 10)
                    try await queue.collect { $0.count >= 10 }
                    try await report(client) { $0.hasCopied(10, of: batch.id) }
                }
                try await client.runByHand(batch, atMost: 10)
                try await aggregating(client) {
                    try await queue.collect { $0.count >= 20 }
                    try await client.runByHand(batch)
                    try await queue.collect(until: Self.isFinished)
                    try await report(client) { $0.copied?.positions[batch.id]?.finished == 1 }
                }
                // A third one has nothing left to copy.
                let other = try await client.create(plan(), records: records(1))
                try await aggregating(client) {
                    try await client.runByHand(other)
                    try await queue.collect { $0.count { $0.type == "finished" } == 2 }
                    try await report(client) { $0.copied?.positions[other.id]?.finished == 1 }
                }
                let ids = await queue.messages.map(\.id)
                #expect(ids.count == 33 && Set(ids).count == 33, "\(ids)")
            }
        }
    }

    @Test("A batch that ended without an aggregator that copies is copied by the next one")
    func endedBefore() async throws {
        try await Stage.with(.rabbitMQ) { stage in
            try await stage.client { client in
                let queue = try await Collector(client)
                let batch = try await client.create(plan(), records: records(5))
                try await client.runByHand(batch)
                // A reader folds to the end and ends the batch.
                #expect(try await client.batch(batch.id.text).status == .completed)
                try await aggregating(client) { try await queue.collect(until: Self.isFinished) }
                #expect(await queue.messages.count == 6)
            }
        }
    }

    @Test("Without a bound queue only the position advances, and a new queue gets what comes later")
    func withoutQueues() async throws {
        try await Stage.with(.rabbitMQ) { stage in
            try await stage.client { client in
                let batch = try await client.create(plan(), records: records(300))
                try await aggregating(client) {
                    try await client.runByHand(batch, atMost: 200)
                    try await report(client) { $0.hasCopied(200, of: batch.id) }
                    // Tasks are published side by side, so these need not be the first ones.
                    let earlier = try await Set(outcomeIndices(in: client.events(of: batch.id)))
                    let queue = try await Collector(client)
                    try await client.runByHand(batch)
                    let copies = try await queue.collect(until: Self.isFinished)
                    let indices = copies.compactMap { $0.integer("sheaf-index") }
                    #expect(Set(indices) == Set(0..<300).subtracting(earlier) && indices.count == 100, "\(indices)")
                }
            }
        }
    }

    @Test("Outcomes that are read before the aggregator has read them are copied later")
    func readAhead() async throws {
        try await Stage.with(.rabbitMQ) { stage in
            try await stage.client { client in
                let queue = try await Collector(client)
                let batch = try await client.create(plan(), records: records(20))
                try await client.runByHand(batch)
                var entries: [LogEntry] = []
                try await client.broker.follow(client.names.results(batch: batch.id), from: .first) { chunk in
                    entries += chunk.entries
                    return entries.count < 20
                }
                let feed = FanOutFeed()
                let fanOut = FanOut(
                    client: client,
                    journal: try await Journal.read(from: client),
                    topics: try #require(client.broker as? any TopicBroker),
                    feed: feed,
                    changed: Changes(),
                    progress: { _ in nil }
                )
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await fanOut.run() }
                    defer { group.cancelAll() }
                    // The aggregator has read a half; one read of the log returns all of it.
                    let middle = entries[10].offset
                    feed.note(batch.id, from: 0, to: middle, [.succeeded: entries[0]])
                    try await queue.collect { $0.count >= 10 }
                    try await until("the position is known") { feed[batch.id]?.offset ?? 0 >= middle }
                    #expect(feed[batch.id]?.offset == middle)
                    feed.note(batch.id, from: middle, to: entries[19].offset + 1, [.succeeded: entries[10]])
                    let copies = try await queue.collect { $0.count >= 20 }
                    #expect(Set(copies.compactMap { $0.integer("sheaf-index") }) == Set(0..<20))
                }
            }
        }
    }

    @Test("A retry copies the outcomes of its generation, and a stop is reported once")
    func retrying() async throws {
        try await Stage.with(.rabbitMQ) { stage in
            try await stage.client { client in
                let queue = try await Collector(client)
                let batch = try await client.create(
                    plan { $0.options.errorPolicy = .stop(above: 0) },
                    records: records(10)
                )
                let journal = try await Journal.read(from: client)
                try await aggregating(client) {
                    try await client.runByHand(batch, atMost: 4) { $0.index < 2 ? .failed : .succeeded }
                    try await journal.append(.stopped(reason: "a task failed"), to: batch.id, flow: batch.flow)
                    try await queue.collect { $0.contains { $0.type == "stopped" } }
                    try await client.resume(batch.id.text)
                    try await client.runByHand(batch)
                    try await queue.collect(until: Self.isFinished)
                    try await client.retry(batch.id.text)
                    try await client.runByHand(batch, generation: 1)
                    try await queue.collect { $0.count { $0.type == "finished" } == 2 }
                }
                let messages = await queue.messages
                #expect(messages.count { $0.type == "stopped" } == 1)
                let outcomes = messages.filter { $0.type == "outcome" }
                #expect(outcomes.count == 12 && Set(outcomes.map(\.id)).count == 12)
                #expect(outcomes.count { $0.integer("sheaf-generation") == 1 } == 2)
            }
        }
    }

    @Test("A broken topic never holds up a batch", arguments: [true, false])
    func brokenTopic(isOfAnotherKind: Bool) async throws {
        try await Stage.with(.rabbitMQ) { stage in
            try await stage.client { client in
                let broker = BrokenTopics(inner: client.broker, fails: isOfAnotherKind)
                let broken = try await SheafClient(broker: broker, namespace: stage.namespace)
                let batch = try await broken.create(plan(), records: records(50))
                let worker = Worker(
                    client: broken,
                    configuration: WorkerConfiguration(flows: [try .work { _ in .value(1) }], untilEmpty: true)
                )
                try await worker.run()
                let summary = try await client.batch(batch.id.text)
                #expect(summary.status == .completed && summary.counts == BatchCounts(succeeded: 50))
            }
        }
    }

    @Test("A tap passes on outcomes and the end of a batch, on both brokers", arguments: BrokerKind.allCases)
    func tapping(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            try await stage.client { client in
                let old = try await client.create(plan(), records: records(5))
                try await stage.work([.work { _ in .value(1) }])
                for fromStart in [false, true] {
                    let lines = Mutex<[JSONValue]>([])
                    let isReady = Gate()
                    let tap = Task {
                        let note: @Sendable (TapNote) -> Void = { _ in Task { await isReady.open() } }
                        try await client.tap(TapFilter(flow: "work"), fromStart: fromStart, note: note) { line in
                            let json = try JSON.parse(line)
                            lines.withLock { $0.append(json) }
                        }
                    }
                    await isReady.wait()
                    let batch = try await client.create(plan(), records: records(20))
                    try await stage.work([.work { _ in .value(1) }])
                    try await until("the end is passed on") {
                        lines.withLock { $0.contains { $0["event"] == "finished" } }
                    }
                    tap.cancel()
                    let seen = lines.withLock { $0 }
                    #expect(seen.allSatisfy { $0["batch_id"]?.stringValue == batch.id.text && $0["flow"] == "work" })
                    #expect(Set(seen.compactMap { $0["index"]?.intValue }) == Set(0..<20))
                    #expect(seen.last?["event"] == "finished" && seen.last?["status"] == "completed")
                }
                let lines = Mutex<[JSONValue]>([])
                let filter = TapFilter(batch: old.id)
                let tap = Task {
                    try await client.tap(filter, fromStart: true) { line in
                        let json = try JSON.parse(line)
                        lines.withLock { $0.append(json) }
                    }
                }
                try await until("a batch that has ended is passed on") {
                    lines.withLock { $0.count { $0["event"] == "outcome" } == 5 && $0.last?["event"] == "finished" }
                }
                tap.cancel()
            }
        }
    }
}

extension LatestProgress {
    /// Whether this many outcomes of a batch are counted, and the position of the copies is after them.
    fileprivate func hasCopied(_ count: Int, of batch: Name) -> Bool {
        guard let position = copied?.positions[batch], let progress = batches[batch] else { return false }
        return progress.settled.count == count && position.offset >= progress.offset
    }
}

/// A broker whose topics fail at once or never answer.
private final class BrokenTopics: BrokerWrapper, TopicBroker {
    let inner: any Broker
    private let fails: Bool

    init(inner: any Broker, fails: Bool) {
        self.inner = inner
        self.fails = fails
    }

    private func fail() async throws -> Never {
        while !fails { try await Task.sleep(for: .seconds(3_600)) }
        throw BrokerError(.mismatch, "on purpose")
    }

    func declareTopic(_ name: String) async throws { try await fail() }
    func probe(_ message: TopicMessage, to topic: String) async throws -> TopicDelivery { try await fail() }
    func publish(_ messages: [TopicMessage], toTopic topic: String) async throws -> [Int] { try await fail() }
    func subscribe(to topic: String, keys: [String], limit: Int) async throws -> any QueueConsumer {
        try await fail()
    }
}
