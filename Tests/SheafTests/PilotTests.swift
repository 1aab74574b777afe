import Sheaf
import SheafBroker
import SheafCore
import SheafFlows
import SheafSources
import SheafTestSupport
import Synchronization
import Testing

@testable import SheafBatches
@testable import SheafWorker

/// Batches whose first tasks run as a pilot.
@Suite("Pilots of batches") struct PilotTests {
    /// Notes which tasks ran.
    private final class Runs: Sendable {
        private let noted = Mutex<[Int]>([])

        var indices: [Int] { noted.withLock { $0.sorted() } }
        var count: Int { noted.withLock { $0.count } }

        func flow(
            retries: Int = 0,
            _ body: @escaping @Sendable (FlowTask) async throws -> FlowOutput = { _ in .value(1) }
        ) throws -> FlowDefinition {
            try FlowDefinition.work(retries: retries) { task in
                self.noted.withLock { $0.append(task.index) }
                return try await body(task)
            }
        }
    }

    private static func items(_ range: Range<Int>, invalid: Set<Int> = []) -> [SourceItem] {
        range.map { number in
            if invalid.contains(number) {
                return SourceItem(index: number, place: "in:\(number)", content: .invalid(message: "broken"))
            }
            let record = Record(id: "r\(number)", kind: .json, bytes: Array(#"{"n":\#(number)}"#.utf8))
            return SourceItem(index: number, place: record.id, content: .record(record))
        }
    }

    private static func stream(_ items: [SourceItem]) -> AsyncStream<[SourceItem]> {
        AsyncStream { continuation in
            for item in items { continuation.yield([item]) }
            continuation.finish()
        }
    }

    private static func pilot(_ tasks: Int, pass: Double? = nil) -> @Sendable (inout BatchPlan) -> Void {
        { $0.options.pilot = Pilot(tasks: tasks, pass: pass) }
    }

    private func rest(_ client: SheafClient, _ batch: CreatedBatch) async throws -> Int? {
        try await client.broker.queueStatus(client.names.restOfTasks(flow: batch.flow, batch: batch.id))?.ready
    }

    @Test("Only the pilot runs, the batch pauses, and a resume runs the rest", arguments: BrokerKind.allCases)
    func pausing(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let runs = Runs()
            let flow = try runs.flow { task in
                if task.index == 3 { throw FlowError(type: "broken", message: "on purpose") }
                return .metered(.value(1), Usage(["tokens": 10]))
            }
            try await stage.client { client in
                let batch = try await client.create(plan(Self.pilot(5)), records: records(40))
                #expect(try await client.waiting(batch, generation: 0) == 5)
                #expect(try await rest(client, batch) == 35)
                let before = try await client.batch(batch.id.text)
                #expect(before.info.isPiloting && before.status == .pending)

                async let second = stage.work([flow])
                let first = try await stage.work([flow])
                #expect(try await first.finished + second.finished == 5)
                #expect(runs.indices == Array(0..<5))
                let summary = try await client.batch(batch.id.text)
                #expect(summary.status == .paused && summary.info.awaitsResume)
                #expect(summary.counts == BatchCounts(pending: 35, succeeded: 4, failed: 1))
                let result = try #require(summary.info.pilotResult)
                let usage = Usage(["tokens": 40])
                #expect(result == Pilot.Result(tasks: 5, succeeded: 4, failed: 1, usage: usage))
                #expect(result.projectedFailures(of: summary.total) == 8)
                #expect(result.projectedUsage(of: summary.total) == Usage(["tokens": 320]))
                #expect(try await stage.work([flow]).finished == 0, "the batch is paused")

                let change = try await client.resume(batch.id.text)
                #expect(change.hasChanged && change.batch.status == .processing)
                let report = try await stage.work([flow])
                #expect(report.finished == 35)
                let done = try await client.batch(batch.id.text)
                #expect(done.status == .completed && done.counts == BatchCounts(succeeded: 39, failed: 1))
                #expect(done.info.pilotResult == result)
                #expect(runs.indices == Array(0..<40))
                let outcomes = try await client.allResults(batch.id, ordered: true)
                #expect(outcomes.map(\.recordID) == (0..<40).map { "r\($0)" })
                #expect(try await client.waiting(batch, generation: 0) == nil)
                #expect(try await rest(client, batch) == nil, "the queue is deleted with the others")
            }
        }
    }

    @Test(
        "A batch goes on by itself if enough of its pilot has succeeded",
        arguments: BrokerKind.allCases,
        [80.0, 81.0]
    )
    func passing(kind: BrokerKind, pass: Double) async throws {
        try await Stage.with(kind) { stage in
            let runs = Runs()
            let flow = try runs.flow { task in
                if task.index == 3 { throw FlowError(type: "broken", message: "on purpose") }
                return .value(1)
            }
            try await stage.client { client in
                let batch = try await client.create(plan(Self.pilot(5, pass: pass)), records: records(12))
                try await stage.work([flow])
                let summary = try await client.batch(batch.id.text)
                #expect(summary.status == (pass == 80 ? .completed : .paused))
                #expect(summary.info.pilotResult?.isPassed == (pass == 80))
                #expect(runs.count == (pass == 80 ? 12 : 5))
            }
        }
    }

    @Test("A batch that is all pilot does not pause", arguments: BrokerKind.allCases, [5, 6])
    func allPilot(kind: BrokerKind, tasks: Int) async throws {
        try await Stage.with(kind) { stage in
            let flow = try Runs().flow()
            try await stage.client { client in
                let batch = try await client.create(plan(Self.pilot(tasks)), records: records(5))
                try await stage.work([flow])
                let summary = try await client.batch(batch.id.text)
                #expect(summary.status == .completed && summary.info.pilotResult == nil)
                #expect(summary.pilot?.succeeded == 5)
            }
        }
    }

    @Test("A pilot has records that cannot be read, and a part of a record's variants", arguments: BrokerKind.allCases)
    func sharing(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let runs = Runs()
            let flow = try runs.flow()
            try await stage.client { client in
                let mixed = try plan {
                    $0.options.pilot = Pilot(tasks: 7)
                    $0.options.parameters = ["lang": ["de", "fr"]]
                }
                // The order of publishing is not that of the indices.
                let order = [8, 2, 1, 0, 5, 7, 6, 3, 4].flatMap { Self.items($0..<$0 + 1, invalid: [2, 5, 6]) }
                let batch = try await client.create(mixed, from: Self.stream(order))
                #expect(batch.total == 18 && batch.invalid == 6)
                try await stage.work([flow])
                #expect(runs.indices == [0, 2, 3, 16, 17])
                let summary = try await client.batch(batch.id.text)
                #expect(summary.info.pilotResult == Pilot.Result(tasks: 7, succeeded: 5, failed: 2))
                #expect(summary.counts == BatchCounts(pending: 7, succeeded: 5, failed: 6))
                try await client.resume(batch.id.text)
                try await stage.work([flow])
                let done = try await client.batch(batch.id.text)
                #expect(done.status == .completed && done.counts == BatchCounts(succeeded: 12, failed: 6))
            }
        }
    }

    @Test("Pausing and resuming during the pilot does not end it", arguments: BrokerKind.allCases)
    func pausingDuringThePilot(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let runs = Runs()
            let flow = try runs.flow()
            try await stage.client { client in
                let batch = try await client.create(plan(Self.pilot(4)), records: records(9))
                try await stage.work([flow]) { $0.maxTasks = 2 }
                try await client.pause(batch.id.text)
                #expect(try await client.resume(batch.id.text).batch.info.isPiloting)
                let report = try await stage.work([flow])
                #expect(report.finished == 2 && runs.indices == Array(0..<4))
                #expect(try await client.batch(batch.id.text).info.awaitsResume)
            }
        }
    }

    @Test("A failed policy in the pilot is resumed into the pilot", arguments: BrokerKind.allCases)
    func stopping(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let flow = try Runs().flow { task in
                if task.index == 0 { throw FlowError(type: "broken", message: "on purpose") }
                return .value(1)
            }
            try await stage.client { client in
                let stopping = try plan {
                    $0.options.pilot = Pilot(tasks: 4)
                    $0.options.errorPolicy = .stop(above: 0)
                }
                let batch = try await client.create(stopping, records: records(9))
                try await stage.work([flow]) { $0.concurrency = 1 }
                #expect(try await client.batch(batch.id.text).status == .failed)
                try await client.resume(batch.id.text)
                try await stage.work([flow])
                let summary = try await client.batch(batch.id.text)
                #expect(summary.status == .paused)
                #expect(summary.info.pilotResult == Pilot.Result(tasks: 4, succeeded: 3, failed: 1))
            }
        }
    }

    @Test("A cancel drops the tasks after the pilot, and a deletion their queue", arguments: BrokerKind.allCases)
    func cancelling(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let flow = try Runs().flow()
            try await stage.client { client in
                for runsPilot in [false, true] {
                    let batch = try await client.create(plan(Self.pilot(4)), records: records(9))
                    if runsPilot { try await stage.work([flow]) }
                    let cancelled = try await client.cancel(batch.id.text)
                    let done = runsPilot ? 4 : 0
                    #expect(cancelled.counts == BatchCounts(succeeded: done, cancelled: 9 - done))
                    try await client.delete(batch.id.text)
                    #expect(try await rest(client, batch) == nil)
                }
            }
        }
    }

    @Test("Failed tasks of a pilot are retried with the rest", arguments: BrokerKind.allCases)
    func retrying(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let failing = try Runs().flow { _ in throw FlowError(type: "broken", message: "on purpose") }
            let runs = Runs()
            let flow = try runs.flow()
            try await stage.client { client in
                let batch = try await client.create(plan(Self.pilot(3)), records: records(8))
                try await stage.work([failing]) { $0.maxTasks = 2 }
                // A part of the pilot is open again, and the pilot is not over before it has ended.
                #expect(try await client.retry(batch.id.text).retried == 2)
                try await stage.work([failing])
                let first = try await client.batch(batch.id.text)
                #expect(first.info.pilotResult == Pilot.Result(tasks: 3, succeeded: 0, failed: 3))
                #expect(try await client.retry(batch.id.text).retried == 3)
                #expect(try await stage.work([flow]).finished == 0, "the batch is paused")
                try await client.resume(batch.id.text)
                try await stage.work([flow])
                #expect(try await client.batch(batch.id.text).counts == BatchCounts(succeeded: 8))
                #expect(runs.indices == Array(0..<8))
            }
        }
    }

    @Test("Attempts, permits and single tasks stay within the pilot", arguments: BrokerKind.allCases)
    func attempts(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let runs = Runs()
            let flow = try runs.flow(retries: 1) { task in
                if task.attempt == 1, task.index.isMultiple(of: 2) {
                    throw FlowError(type: "busy", message: "once", isRetryable: true)
                }
                return .value(1)
            }
            try await stage.client { client in
                let capped = try plan {
                    $0.options.pilot = Pilot(tasks: 4)
                    $0.options.maxRunning = 2
                }
                let batch = try await client.create(capped, records: records(8))
                try await stage.work([flow])
                #expect(runs.indices == [0, 0, 1, 2, 2, 3])
                #expect(try await client.batch(batch.id.text).info.pilotResult?.succeeded == 4)
                try await client.resume(batch.id.text)
                try await stage.work([flow])
                #expect(try await client.batch(batch.id.text).counts == BatchCounts(succeeded: 8))
                #expect(runs.indices == [0, 0, 1, 2, 2, 3, 4, 4, 5, 6, 6, 7])
            }
        }
    }

    @Test("Lost tasks of a pilot are published again without the rest", arguments: BrokerKind.allCases)
    func missing(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let runs = Runs()
            let flow = try runs.flow()
            try await stage.client { client in
                let input = Self.items(0..<9)
                let batch = try await client.create(plan(Self.pilot(4)), from: Self.stream(input))
                let queue = client.names.tasks(flow: batch.flow, batch: batch.id, generation: 0)
                try await client.broker.purgeQueue(queue)
                // The aggregator of this worker finds the loss.
                let report = try await stage.work([flow])
                #expect(report.finished == 0 && report.missing == [batch.id])
                let retried = try await client.retryMissing(batch.id.text, from: { _ in Self.stream(input) })
                #expect(retried.retried == 4)
                try await stage.work([flow])
                #expect(runs.indices == Array(0..<4))
                #expect(try await client.batch(batch.id.text).info.awaitsResume)

                try await client.resume(batch.id.text)
                try await client.broker.purgeQueue(client.names.restOfTasks(flow: batch.flow, batch: batch.id))
                #expect(try await client.retryMissing(batch.id.text, from: { _ in Self.stream(input) }).retried == 5)
                try await stage.work([flow])
                #expect(try await client.batch(batch.id.text).counts == BatchCounts(succeeded: 9))
            }
        }
    }

    @Test("A lost queue of the tasks after the pilot stops the batch once they may run", arguments: BrokerKind.allCases)
    func lostQueue(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let flow = try Runs().flow()
            try await stage.client { client in
                let input = Self.items(0..<9)
                let batch = try await client.create(plan(Self.pilot(4)), from: Self.stream(input))
                try await client.broker.deleteQueue(client.names.restOfTasks(flow: batch.flow, batch: batch.id))
                try await stage.work([flow])
                #expect(try await client.batch(batch.id.text).info.awaitsResume)
                try await client.resume(batch.id.text)
                try await stage.work([flow])
                #expect(try await client.batch(batch.id.text).status == .failed)
                #expect(try await client.retryMissing(batch.id.text, from: { _ in Self.stream(input) }).retried == 5)
                try await stage.work([flow])
                #expect(try await client.batch(batch.id.text).counts == BatchCounts(succeeded: 9))
            }
        }
    }

    @Test(
        "A pilot ends while the rest is still being published, and a watcher learns it",
        arguments: BrokerKind.allCases
    )
    func endingDuringTheCreation(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let runs = Runs()
            let flow = try runs.flow()
            try await stage.client { client in
                let (source, creator) = AsyncStream.makeStream(of: [SourceItem].self)
                let slow = try plan {
                    $0.id = "slow"
                    $0.options.pilot = Pilot(tasks: 3)
                }
                async let creating = client.create(slow, from: source)
                creator.yield(Self.items(0..<3))
                try await until("the batch exists") { try await client.batches().count == 1 }
                async let working = stage.work([flow]) { $0.untilEmpty = true }
                try await until("the pilot has run") { runs.count == 3 }
                // There may be no fourth task, and then the batch just ends.
                #expect(try await client.batch("slow").info.isPiloting)
                creator.yield(Self.items(3..<5))
                var last: BatchSummary?
                for try await summary in client.progress(of: "slow") { last = summary }
                #expect(last?.info.awaitsResume == true && last?.isSealed == false)
                creator.yield(Self.items(5..<9))
                creator.finish()
                #expect(try await creating.total == 9)
                #expect(try await working.finished == 3)
                try await client.resume("slow")
                try await stage.work([flow])
                #expect(try await client.batch("slow").counts == BatchCounts(succeeded: 9))
            }
        }
    }

    @Test("A bulk of a pilot begins as soon as the pilot is published", arguments: BrokerKind.allCases)
    func bulks(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let provider = JobProvider(answersAll: true)
            var waiting = JobFlow(provider: provider, maximumTasks: 100)
            waiting.maximumWait = .seconds(3_600)
            let flow = waiting.definition()
            try await stage.client { client in
                let (source, creator) = AsyncStream.makeStream(of: [SourceItem].self)
                let slow = try plan {
                    $0.id = "slow"
                    $0.options.pilot = Pilot(tasks: 3)
                }
                async let creating = client.create(slow, from: source)
                creator.yield(Self.items(0..<5))
                try await until("the batch exists") { try await client.batches().count == 1 }
                async let working = stage.work([flow]) { $0.timing.bulkGathering.patience = .zero }
                try await until("the pilot is over") { try await client.batch("slow").info.awaitsResume }
                #expect(await provider.submissions.joined().sorted() == [0, 1, 2])
                #expect(try await working.succeeded == 3)
                creator.yield(Self.items(5..<9))
                creator.finish()
                #expect(try await creating.total == 9)
                try await client.resume("slow")
                #expect(try await stage.work([flow]).succeeded == 6)
                #expect(await provider.submissions.joined().sorted() == Array(0..<9))
            }
        }
    }

    @Test("A resumed creation has the same pilot", arguments: BrokerKind.allCases)
    func resumedCreation(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            try await stage.client { inner in
                for published in [1, 3, 6] {
                    let broker = LosableBroker(inner.broker)
                    let client = try await SheafClient(broker: broker, namespace: stage.namespace)
                    let (source, creator) = AsyncThrowingStream.makeStream(of: [SourceItem].self)
                    let id = try #require(Name("b\(published)"))
                    let interrupted = try plan {
                        $0.id = id
                        $0.options.pilot = Pilot(tasks: 4)
                        $0.publishTimeout = .seconds(5)
                    }
                    let order = (0..<9).reversed().flatMap { Self.items($0..<$0 + 1) }
                    let creation = Task { try await client.create(interrupted, from: source) }
                    creator.yield(Array(order[..<published]))
                    try await until("a part is published") {
                        (try? await client.infoToResume(id.text).published) == published
                    }
                    creator.finish(throwing: FlowError(type: "broken", message: "the input ends too early"))
                    await #expect(throws: FlowError.self) { try await creation.value }
                    let batch = try await inner.resume(id) { position in Self.stream(Array(order[position...])) }
                    #expect(batch.total == 9)
                    let runs = Runs()
                    try await stage.work([try runs.flow()]) { $0.batch = id }
                    #expect(Set(runs.indices) == [5, 6, 7, 8], "\(published) were published before")
                    #expect(try await inner.batch(id.text).info.pilotResult?.succeeded == 4)
                }
            }
        }
    }

    @Test("An aggregator that begins with a checkpoint knows the pilot", arguments: BrokerKind.allCases)
    func checkpoint(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let flow = try Runs().flow()
            try await stage.client { client in
                let batch = try await client.create(plan(Self.pilot(4)), records: records(9))
                try await stage.work([flow]) { $0.maxTasks = 3 }
                let info = try await client.batch(batch.id.text).info
                let results = try await FoldedResults(of: info, client: client)
                let log = client.names.results(batch: batch.id)
                let end = try #require(try await client.broker.endOffset(of: log))
                let saved = ResultMessage.checkpoint(batch: batch.id, of: results.state, upTo: end)
                try await client.broker.append(saved, to: log)
                let fold = try await BatchFold.restored(batch.id, at: end, client)
                #expect(fold.nextOffset == end && fold.state.settledOfPilot.succeeded == 3)
                #expect(fold.state.pilotCount == 4)
                try await stage.work([flow])
                #expect(try await client.batch(batch.id.text).info.pilotResult?.succeeded == 4)
            }
        }
    }

    @Test("A pilot without tasks, or with far too many, is refused", arguments: [0, -1, 100_001])
    func invalid(tasks: Int) async throws {
        try await Stage.with(.embedded) { stage in
            try await stage.client { client in
                let error = await #expect(throws: SheafError.self) {
                    try await client.create(try plan(Self.pilot(tasks)), records: records(3))
                }
                #expect(error?.code == .invalid)
                let batches = try await client.batches()
                #expect(batches.isEmpty)
            }
        }
    }
}
