import Sheaf
import SheafBroker
import SheafCore
import SheafFlows
import SheafSources
import SheafTestSupport
import SheafTesting
import Synchronization
import Testing

@testable import SheafBatches
@testable import SheafWorker

/// Batches in which identical records run once.
@Suite("Twins in batches") struct TwinTests {
    /// Notes which tasks ran.
    private final class Runs: Sendable {
        private let noted = Mutex<[Int]>([])

        var indices: [Int] { noted.withLock { $0.sorted() } }

        func flow(
            _ body: @escaping @Sendable (FlowTask) async throws -> FlowOutput = {
                .metered(.json($0.record.bytes), Usage(["tokens": 10]))
            }
        ) throws -> FlowDefinition {
            try FlowDefinition.work { task in
                self.noted.withLock { $0.append(task.index) }
                return try await body(task)
            }
        }
    }

    /// Records with ids of their own and these values.
    private static func items(_ values: [Int], from start: Int = 0) -> [SourceItem] {
        values.enumerated().dropFirst(start).map { number, value in
            let bytes = Array(#"{"id":"r\#(number)","n":\#(value)}"#.utf8)
            let record = Record(id: "r\(number)", kind: .json, bytes: bytes)
            return SourceItem(index: number, place: record.id, content: .record(record))
        }
    }

    private static func stream(_ items: [SourceItem]) -> AsyncStream<[SourceItem]> {
        AsyncStream { continuation in
            for item in items { continuation.yield([item]) }
            continuation.finish()
        }
    }

    private static func once(_ change: (inout BatchPlan) -> Void = { _ in }) throws -> BatchPlan {
        try plan {
            $0.options.deduplication = .records
            change(&$0)
        }
    }

    private static let failing = FlowError(type: "broken", message: "on purpose")

    /// Aggregates on a connection until the body returns.
    private static func aggregating<Result: Sendable>(
        _ client: SheafClient,
        _ change: (inout AggregatorTiming) -> Void = { _ in },
        _ body: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        var timing = AggregatorTiming(interval: .milliseconds(50), progressInterval: .milliseconds(50))
        change(&timing)
        let journal = try await Journal.read(from: client)
        let aggregator = Aggregator(client: client, journal: journal, timing: timing)
        return try await withThrowingTaskGroup(of: Result?.self) { group in
            group.addTask {
                try await journal.run()
                return nil
            }
            group.addTask {
                try await aggregator.run()
                return nil
            }
            group.addTask { try await body() }
            defer { group.cancelAll() }
            while let result = try await group.next() { if let result { return result } }
            throw CancellationError()
        }
    }

    /// All lines of outcomes in the results log of a batch.
    private static func lines(_ client: SheafClient, _ batch: CreatedBatch) async throws -> [Outcome] {
        try await client.entries(of: client.names.results(batch: batch.id)).flatMap {
            ResultMessage.outcomes(of: $0.message)
        }
    }

    @Test("Identical records run once, and each has an outcome with its own id", arguments: BrokerKind.allCases)
    func once(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let runs = Runs()
            let flow = try runs.flow()
            try await stage.client { client in
                let values = (0..<40).map { $0 % 4 }
                let batch = try await client.create(Self.once(), from: Self.stream(Self.items(values)))
                #expect(batch.total == 40 && batch.twins == 36)
                #expect(try await client.waiting(batch, generation: 0) == 4)
                let before = try await client.batch(batch.id.text)
                #expect(before.info.twins == 36 && before.counts == BatchCounts(pending: 40))
                #expect(before.openPending == 4, "more workers would not help with twins")
                async let second = stage.work([flow])
                let first = try await stage.work([flow])
                #expect(try await first.finished + second.finished == 4)
                #expect(runs.indices == [0, 1, 2, 3])
                let summary = try await client.batch(batch.id.text)
                #expect(summary.status == .completed && summary.counts == BatchCounts(succeeded: 40))
                #expect(summary.usage == Usage(["tokens": 40]), "what a task used is counted once")
                #expect(summary.json["twins"] == 36)
                let outcomes = try await client.allResults(batch.id, ordered: true)
                #expect(outcomes.map(\.recordID) == (0..<40).map { "r\($0)" })
                #expect(outcomes.map(\.sameAs) == (0..<40).map { $0 < 4 ? nil : $0 % 4 })
                for outcome in outcomes {
                    #expect(outcome.output == outcomes[outcome.index % 4].output)
                    #expect(outcome.usage.isEmpty == (outcome.index >= 4))
                }
                #expect(try await Self.lines(client, batch).count == 40, "nothing was written twice")
            }
        }
    }

    @Test("Records are compared by the chosen fields, or by all but their id", arguments: BrokerKind.allCases)
    func rules(kind: BrokerKind) async throws {
        let texts = [
            #"{"id":1,"a":"x","b":[1,{"c":2,"d":3}]}"#, #"{ "b" : [1, {"d":3,"c":2}], "a":"x", "id":2 }"#,
            #"{"id":3,"a":"x","b":[1,{"c":2,"d":4}]}"#, #"{"id":1,"a":"y"}"#, #"{"id":9}"#, #"{"id":9}"#,
        ]
        let rules: [(Deduplication, [Int?])] = [
            (.records, [nil, 0, nil, nil, nil, 4]),
            (.fields(["a"]), [nil, 0, 0, nil, nil, 4]),
            (.fields(["id", "none"]), [nil, nil, nil, 0, nil, 4]),
            (.fields(["none"]), [nil, 0, nil, nil, nil, 4]),
        ]
        try await Stage.with(kind) { stage in
            try await stage.client { client in
                for (rule, firsts) in rules {
                    let items = texts.enumerated().map { number, text in
                        let record = Record(id: "r\(number)", kind: .json, bytes: Array(text.utf8))
                        return SourceItem(index: number, place: record.id, content: .record(record))
                    }
                    let plan = try Self.once { $0.options.deduplication = rule }
                    let batch = try await client.create(plan, from: Self.stream(items))
                    try await client.runByHand(batch)
                    let summary = try await client.batch(batch.id.text)
                    #expect(summary.status == .completed, "a reader gives twins their outcome if no worker is there")
                    #expect(try await client.allResults(batch.id, ordered: true).map(\.sameAs) == firsts, "\(rule)")
                }
            }
        }
    }

    @Test("Twins fail as their first does, and a retry of any of them runs it once", arguments: BrokerKind.allCases)
    func retrying(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let broken = try Runs().flow { task in
                if task.index < 2 { throw Self.failing }
                return .value(1)
            }
            let runs = Runs()
            let flow = try runs.flow()
            try await stage.client { client in
                let values = (0..<12).map { $0 % 3 }
                let batch = try await client.create(Self.once(), from: Self.stream(Self.items(values)))
                try await stage.work([broken])
                let failed = try await client.batch(batch.id.text)
                #expect(failed.counts == BatchCounts(succeeded: 4, failed: 8))
                let outcomes = try await client.allResults(batch.id, ordered: true)
                #expect(outcomes[9].error?.message == "on purpose" && outcomes[9].record == nil)

                // A twin brings its first and all other twins; a task that is chosen twice runs once.
                let report = try await client.retry(batch.id.text, only: IndexRanges("3,6,8"))
                #expect(report.retried == 4 && report.unaffected == 1 && report.withoutRecord == 0)
                #expect(report.batch.counts == BatchCounts(pending: 4, succeeded: 4, failed: 4))
                #expect(try await client.waiting(batch, generation: 1) == 1)
                try await stage.work([flow])
                #expect(runs.indices == [0])
                let half = try await client.batch(batch.id.text)
                #expect(half.status == .completed && half.counts == BatchCounts(succeeded: 8, failed: 4))

                #expect(try await client.retry(batch.id.text).retried == 4)
                try await stage.work([broken])
                #expect(try await client.batch(batch.id.text).counts == BatchCounts(succeeded: 8, failed: 4))
                #expect(try await client.retry(batch.id.text).retried == 4)
                try await stage.work([flow])
                #expect(runs.indices == [0, 1])
                let done = try await client.batch(batch.id.text)
                #expect(done.status == .completed && done.counts == BatchCounts(succeeded: 12))
                let last = try await client.allResults(batch.id, ordered: true)
                #expect(last.map(\.recordID) == (0..<12).map { "r\($0)" } && last.map(\.generation).max() == 3)
            }
        }
    }

    /// Fails all appends from a given one to a log on, as if the process had died before or after it.
    private final class DyingBroker: BrokerWrapper {
        struct Death: Error {}

        let inner: any Broker
        private let log: String
        private let arrives: Bool
        private let left: Mutex<Int>
        private let dead = Mutex(false)

        var isDead: Bool { dead.withLock { $0 } }

        init(_ inner: any Broker, log: String, after count: Int, arrives: Bool) {
            (self.inner, self.log, self.arrives) = (inner, log, arrives)
            left = Mutex(count)
        }

        func append(_ messages: [Message], to log: String) async throws {
            if isDead { throw Death() }
            if log == self.log, messages.contains(where: { $0.type == ResultMessage.outcomesType }) {
                let dies = left.withLock { left in
                    left -= 1
                    return left < 0
                }
                if dies, arrives { try await inner.append(messages, to: log) }
                if dies {
                    // Not before: the test then ends the aggregator, which might keep the entry from arriving.
                    dead.withLock { $0 = true }
                    throw Death()
                }
            }
            try await inner.append(messages, to: log)
        }
    }

    @Test(
        "An aggregator that dies at any step leaves the rest to the next one",
        arguments: BrokerKind.allCases,
        [false, true]
    )
    func dying(kind: BrokerKind, arrives: Bool) async throws {
        try await Stage.with(kind) { stage in
            try await stage.client { client in
                for steps in 0..<4 {
                    let values = (0..<30).map { $0 % 6 }
                    let batch = try await client.create(Self.once(), from: Self.stream(Self.items(values)))
                    let log = client.names.results(batch: batch.id)
                    let broker = DyingBroker(client.broker, log: log, after: steps, arrives: arrives)
                    let dying = try await SheafClient(
                        broker: broker,
                        namespace: stage.namespace,
                        logger: client.logger
                    )
                    // Each outcome is an append of its own, and so is what the aggregator writes for its twins.
                    try await Self.aggregating(dying, { $0.checkpointEvery = steps % 2 == 0 ? 1 : 1 << 30 }) {
                        for count in 1...6 where !broker.isDead {
                            try await client.runByHand(batch, atMost: 1)
                            try await until("the twins of \(count) tasks have ended, or the aggregator is dead") {
                                if broker.isDead { return true }
                                return try await Self.lines(client, batch).count >= count * 5
                            }
                        }
                    }
                    #expect(broker.isDead)
                    let before = try await Self.lines(client, batch).count
                    #expect(before == steps * 5 + (arrives ? 5 : 1))
                    try await client.runByHand(batch)
                    try await Self.aggregating(client) {
                        try await until("the batch has ended") {
                            try await Journal.read(from: client)[batch.id]?.ending != nil
                        }
                    }
                    let summary = try await client.batch(batch.id.text)
                    #expect(summary.status == .completed && summary.counts == BatchCounts(succeeded: 30))
                    #expect(try await Self.lines(client, batch).count == 30, "nothing was written twice")
                }
            }
        }
    }

    @Test("Two aggregators at once give each twin one outcome", arguments: BrokerKind.allCases)
    func two(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            try await stage.client { client in
                let values = (0..<600).map { $0 % 300 }
                let batch = try await client.create(Self.once(), from: Self.stream(Self.items(values)))
                let journal = try await Journal.read(from: client)
                try await client.runByHand(batch) { $0.index % 2 == 0 ? .succeeded : .failed }
                async let first: Void = TwinSettler(client: client, journal: journal, batch: batch.id).finish()
                async let second: Void = TwinSettler(client: client, journal: journal, batch: batch.id).finish()
                _ = try await (first, second)
                // What one of them writes after the other changes nothing, whatever it says.
                for outcome in try await Self.lines(client, batch) where outcome.sameAs != nil {
                    let task = BatchTask(
                        flow: batch.flow,
                        batch: batch.id,
                        index: outcome.index,
                        record: Record(id: outcome.recordID, kind: .json, bytes: [])
                    )
                    if outcome.index % 100 == 0 { try await client.note(.failed, of: task) }
                }
                let summary = try await client.batch(batch.id.text)
                #expect(summary.status == .completed && summary.counts == BatchCounts(succeeded: 300, failed: 300))
                #expect(try await client.allResults(batch.id).count == 600)
            }
        }
    }

    @Test("Twins that are published after the outcome of their first get it at once", arguments: BrokerKind.allCases)
    func late(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            try await stage.client { client in
                let (stream, continuation) = AsyncStream.makeStream(of: [SourceItem].self)
                let items = Self.items([7, 8, 7, 7, 8])
                let id: Name = "late"
                let creation = Task {
                    try await client.create(Self.once { $0.id = id }, from: stream)
                }
                for item in items[..<2] { continuation.yield([item]) }
                let batch = CreatedBatch(id: id, flow: "work", total: 2)
                try await until("the tasks are published") { try await client.waiting(batch, generation: 0) == 2 }
                try await Self.aggregating(client) {
                    try await client.runByHand(batch)
                    try await until("the batch has begun") { try await Self.lines(client, batch).count == 2 }
                    continuation.yield([items[2]])
                    try await until("the first twin has its outcome") { try await Self.lines(client, batch).count == 3 }
                    #expect(try await client.batch(id.text).info.sealedTotal == nil)
                    for item in items[3...] { continuation.yield([item]) }
                    continuation.finish()
                    #expect(try await creation.value.twins == 3)
                    try await until("the batch has ended") {
                        try await Journal.read(from: client)[id]?.ending != nil
                    }
                }
                #expect(try await client.batch(id.text).counts == BatchCounts(succeeded: 5))
                #expect(try await client.allResults(id, ordered: true).map(\.sameAs) == [nil, nil, 0, 0, 1])
            }
        }
    }

    @Test("Twins of a cancelled batch are cancelled, unless their first has ended", arguments: BrokerKind.allCases)
    func cancelling(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            try await stage.client { client in
                let values = (0..<12).map { $0 % 4 }
                let batch = try await client.create(Self.once(), from: Self.stream(Self.items(values)))
                let first = try #require(try await client.runByHand(batch, atMost: 1).first)
                let cancelled = try await client.cancel(batch.id.text)
                #expect(cancelled.status == .cancelled)
                #expect(cancelled.counts == BatchCounts(succeeded: 3, cancelled: 9))
                #expect(try await client.allResults(batch.id).compactMap(\.sameAs) == [first, first])
            }
        }
    }

    @Test("Failed twins count for the error policy, and a resume tolerates them", arguments: BrokerKind.allCases)
    func stopping(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            // On RabbitMQ, another task than the first one may come first.
            let (failing, flow) = (try Runs().flow { _ in throw Self.failing }, try Runs().flow { _ in .value(1) })
            try await stage.client { client in
                let plan = try Self.once { $0.options.errorPolicy = .stop(above: 3) }
                let values = (0..<20).map { $0 % 5 }
                let batch = try await client.create(plan, from: Self.stream(Self.items(values)))
                try await stage.work([failing]) { $0.maxTasks = 1 }
                try await Self.aggregating(client) {
                    try await until("the batch is stopped") {
                        try await Journal.read(from: client)[batch.id]?.stopped != nil
                    }
                }
                let stopped = try await client.batch(batch.id.text).info.stopped
                #expect(stopped?.reason.hasPrefix("4 tasks have failed") == true)
                try await client.resume(batch.id.text)
                try await stage.work([flow])
                let done = try await client.batch(batch.id.text)
                #expect(done.status == .completed && done.counts == BatchCounts(succeeded: 16, failed: 4))
            }
        }
    }

    @Test("A resume tolerates the twins that will fail, too", arguments: BrokerKind.allCases)
    func tolerating(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let flow = try Runs().flow { _ in .value(1) }
            try await stage.client { client in
                let plan = try Self.once { $0.options.errorPolicy = .stop(above: 0) }
                let values = (0..<20).map { $0 % 5 }
                let batch = try await client.create(plan, from: Self.stream(Self.items(values)))
                let info = try #require(try await Journal.read(from: client)[batch.id])
                // The worker died with its aggregator just after it had stopped the batch.
                try await client.journal(.stopped(reason: "1 task has failed"), info)
                try await client.runByHand(batch, atMost: 1) { _ in .failed }
                try await client.resume(batch.id.text)
                try await stage.work([flow])
                let done = try await client.batch(batch.id.text)
                #expect(done.status == .completed && done.counts == BatchCounts(succeeded: 16, failed: 4))
            }
        }
    }

    @Test("A pilot has tasks that run, and twins follow their first", arguments: BrokerKind.allCases)
    func pilot(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let runs = Runs()
            let flow = try runs.flow()
            try await stage.client { client in
                let values = [0, 0, 0, 1, 1, 2, 3, 3, 4, 0]
                for tasks in [2, 5, 6] {
                    let plan = try Self.once { $0.options.pilot = Pilot(tasks: tasks) }
                    let batch = try await client.create(plan, from: Self.stream(Self.items(values)))
                    let start = runs.indices.count
                    try await stage.work([flow])
                    let summary = try await client.batch(batch.id.text)
                    #expect(runs.indices.count - start == min(tasks, 5))
                    #expect(summary.pilot?.tasks == (tasks == 2 ? 2 : 10))
                    #expect(summary.pilot?.succeeded == (tasks == 2 ? 2 : 10))
                    guard tasks == 2 else {
                        #expect(summary.status == .completed && summary.counts == BatchCounts(succeeded: 10))
                        continue
                    }
                    #expect(summary.info.awaitsResume)
                    #expect(summary.info.pilotResult?.usage == Usage(["tokens": 20]))
                    try await Self.aggregating(client) {
                        try await until("the twins of the pilot have ended") {
                            try await Self.lines(client, batch).count == 6
                        }
                    }
                    try await client.resume(batch.id.text)
                    try await stage.work([flow])
                    #expect(try await client.batch(batch.id.text).counts == BatchCounts(succeeded: 10))
                }
            }
        }
    }

    @Test("A resumed creation finds twins of what was published before", arguments: BrokerKind.allCases)
    func resuming(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let runs = Runs()
            let flow = try runs.flow()
            try await stage.client { client in
                struct Interruption: Error {}
                let values = (0..<40).map { $0 % 7 }
                let items = Self.items(values)
                let plan = try Self.once {
                    $0.id = "b"
                    $0.options.pilot = Pilot(tasks: 6)
                }
                await #expect(throws: Interruption.self) {
                    try await client.create(
                        plan,
                        from: AsyncThrowingStream<[SourceItem], any Error> { continuation in
                            for item in items[..<5] { continuation.yield([item]) }
                            Task {
                                // The first position is journalled when it is confirmed.
                                try await until("the tasks are journalled") {
                                    try await Journal.read(from: client)["b"]?.published ?? 0 > 0
                                }
                                continuation.finish(throwing: Interruption())
                            }
                        }
                    )
                }
                let created = try await client.resume("b") { position in
                    Self.stream(Array(items.dropFirst(position)))
                }
                #expect(created.resumedAt ?? 0 > 0 && created.total == 40 && created.twins == 33)
                let info = try #require(try await Journal.read(from: client)["b"])
                #expect(info.twins == 33 && info.sealedTotal == 40)
                try await stage.work([flow])
                #expect(Set(runs.indices) == Set(0..<6))
                try await client.resume("b")
                try await stage.work([flow])
                #expect(Set(runs.indices) == Set(0..<7))
                let summary = try await client.batch("b")
                #expect(summary.status == .completed && summary.counts == BatchCounts(succeeded: 40))
                let other = Self.stream(Self.items(values.map { $0 + 1 }))
                #expect(try await client.resume("b") { _ in other }.twins == 33, "the batch was published in full")
            }
        }
    }

    @Test("Lost tasks bring their twins with them", arguments: BrokerKind.allCases)
    func missing(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let runs = Runs()
            let flow = try runs.flow()
            try await stage.client { client in
                let items = Self.items((0..<12).map { $0 % 4 })
                let batch = try await client.create(Self.once(), from: Self.stream(items))
                let first = try #require(try await client.runByHand(batch, atMost: 1).first)
                try await client.broker.purgeQueue(client.names.tasks(flow: batch.flow, batch: batch.id, generation: 0))
                let report = try await stage.work([flow])
                #expect(report.finished == 0 && report.missing == [batch.id])
                let retried = try await client.retryMissing(batch.id.text, from: { _ in Self.stream(items) })
                #expect(retried.retried == 9)
                try await stage.work([flow])
                #expect(runs.indices == [0, 1, 2, 3].filter { $0 != first })
                #expect(try await client.batch(batch.id.text).counts == BatchCounts(succeeded: 12))
            }
        }
    }

    @Test(
        "Each variant of the parameters has twins of its own, and a broken record has none",
        arguments: BrokerKind.allCases
    )
    func variants(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let runs = Runs()
            let flow = try runs.flow { .value($0.parameters["lang"] ?? .null) }
            try await stage.client { client in
                var items = Self.items([1, 1, 1, 1])
                items[1].content = .invalid(message: "broken")
                items[2].content = .invalid(message: "broken")
                let plan = try Self.once { $0.options.parameters = ["lang": ["de", "fr"]] }
                let batch = try await client.create(plan, from: Self.stream(items))
                #expect(batch.total == 8 && batch.twins == 2 && batch.invalid == 4)
                try await stage.work([flow])
                #expect(runs.indices == [0, 1])
                #expect(try await client.batch(batch.id.text).counts == BatchCounts(succeeded: 4, failed: 4))
                let outcomes = try await client.allResults(batch.id, ordered: true)
                #expect(outcomes[6].output == Array(#""de""#.utf8) && outcomes[7].output == Array(#""fr""#.utf8))
                #expect(outcomes.map(\.sameAs) == [nil, nil, nil, nil, nil, nil, 0, 1])
            }
        }
    }

    @Test("Lists, events and single tasks show of a twin which task runs for it", arguments: BrokerKind.allCases)
    func looking(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            try await stage.client { client in
                let batch = try await client.create(Self.once(), from: Self.stream(Self.items([5, 6, 5])))
                var events: [BatchEvent] = []
                try await client.events(of: batch.id.text, index: 2) { events.append($0) }
                #expect(events.contains { $0.what == "twins" && $0.detail?.contains("that of task 0") == true })
                try await client.runByHand(batch)
                #expect(try await client.batch(batch.id.text).status == .completed)
                events = []
                try await client.events(of: batch.id.text, index: 2) { events.append($0) }
                #expect(events.contains { $0.what == "succeeded" && $0.detail == "the outcome of task 0" }, "\(events)")
                events = []
                try await client.events(of: batch.id.text, index: 1) { events.append($0) }
                #expect(!events.contains { $0.what == "twins" })
            }
        }
    }
}
