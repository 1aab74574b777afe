import OrderedCollections
import Sheaf
import SheafBroker
import SheafCore
import SheafTestSupport
import SheafTestTools
import Synchronization
import Testing

@testable import SheafBatches
@testable import SheafDispatch

@Suite("Dispatchers")
struct DispatcherTests {
    @Test("A request becomes a task, and its answer is found by its id", arguments: BrokerKind.allCases)
    func answers(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let scene = Scene(stage: stage)
            try await stage.client { client in
                try await scene.queue(client) { queue in
                    let answers = RequestAnswers(client: client, queue: queue)
                    try await queue.add(requests(0..<5))
                    guard case .waiting? = try await answers.find("r3") else {
                        Issue.record("r3 does not wait")
                        return
                    }
                    #expect(try await answers.find("r9") == nil)
                    try await queue.update()
                    let batches = try await scene.dispatcher(client, queue).look()
                    #expect(batches.map(\.total) == [4])
                    let batch = try #require(batches.first)
                    #expect(try await client.batch(batch.id.text).info.options.tags == ["dispatch": "reviews"])
                    guard case .dispatched(batch.id)? = try await answers.find("r3") else {
                        Issue.record("r3 is not in the batch")
                        return
                    }
                    try await client.runByHand(batch)
                    guard case .ended(batch.id, let outcome)? = try await answers.find("r3") else {
                        Issue.record("r3 has no outcome")
                        return
                    }
                    #expect(outcome.index == 3 && outcome.recordID == "r3" && outcome.status == .succeeded)
                    guard case .waiting? = try await answers.find("r4") else {
                        Issue.record("r4 does not wait")
                        return
                    }
                    await answers.close()
                }
            }
        }
    }

    @Test("The running dispatcher creates a batch as soon as enough requests wait", arguments: BrokerKind.allCases)
    func threshold(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let scene = Scene(stage: stage)
            try await stage.client { client in
                try await scene.queue(client) { queue in
                    let (batches, continuation) = AsyncStream<CreatedBatch>.makeStream()
                    let dispatcher = Dispatcher(
                        client: client,
                        queue: queue,
                        plan: BatchPlan(flow: Scene.flow),
                        rules: DispatchRules(queueThreshold: 3),
                        interval: .seconds(3600)
                    ) { continuation.yield($0) }
                    let running = Task { try await dispatcher.run() }
                    try await stage.client { other in
                        try await scene.queue(other) { sender in
                            for number in 0..<6 { try await sender.add(requests(number..<number + 1)) }
                        }
                    }
                    var iterator = batches.makeAsyncIterator()
                    for _ in 0..<2 { #expect(await iterator.next()?.total == 3) }
                    running.cancel()
                    await #expect(throws: CancellationError.self) { try await running.value }
                }
            }
        }
    }

    @Test("A bad request becomes a failed task, and the others run", arguments: BrokerKind.allCases)
    func badRequests(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let scene = Scene(stage: stage)
            try await stage.client { client in
                try await scene.queue(client) { queue in
                    let good = requests(0..<2)
                    try await queue.add(good)
                    let bodies = ["{", "[1]", "", #"{"n":"\u{1}"}"#, "{} {}", "\u{FEFF}{}"]
                    let bad = bodies.enumerated().map {
                        Record(id: "bad\($0)", kind: .json, bytes: Array($1.utf8))
                    }
                    try await queue.add(bad)
                    // What a program in another language may append, without any property.
                    let log = client.names.requests(Scene.name, log: 1)
                    try await client.broker.append(
                        [
                            Message(body: Array(#"{"n":9}"#.utf8)),
                            Message(id: "huge", body: Array(repeating: 0x31, count: Record.maximumSize + 1)),
                        ],
                        to: log
                    )
                    try await queue.update()
                    let rules = DispatchRules(queueThreshold: 10, arguments: ["t": 0])
                    let batches = try await scene.dispatcher(client, queue, rules: rules).look()
                    let batch = try #require(batches.first)
                    #expect(batch.total == 10 && batch.invalid == 7)
                    var messages: [String: String] = [:]
                    for try await outcomes in try await client.results(of: batch.id.text) {
                        for outcome in outcomes { messages[outcome.recordID] = outcome.error?.message }
                    }
                    #expect(Set(messages.keys) == Set(bad.map(\.id) + ["huge"]))
                    #expect(messages["bad1"]?.contains("no JSON object") == true, "\(messages)")
                    #expect(messages["bad0"]?.contains("not JSON") == true, "\(messages)")
                    #expect(messages["huge"]?.contains("limit is 1048576") == true, "\(messages)")
                    let tasks = try await scene.tasks(client, of: batch.id)
                    #expect(tasks.count == 3 && tasks["r0"] == ["\(batch.id):0"] && tasks["r1"] == ["\(batch.id):1"])
                }
            }
        }
    }

    @Test("A batch that is cancelled or deleted while it is created does not stop the dispatcher")
    func cancelled() async throws {
        try await Stage.with(.embedded) { stage in
            let scene = Scene(stage: stage)
            try await stage.client { client in
                try await scene.queue(client) { queue in
                    try await queue.add(requests(0..<8))
                    try await queue.update()
                    // As if the dispatcher had died after it created half of the batch, which was then cancelled.
                    let group = try #require(try await queue.claim(DispatchRules(queueThreshold: 4), at: .now))
                    struct Died: Error {}
                    await #expect(throws: Died.self) {
                        try await client.create(
                            BatchPlan(flow: Scene.flow, id: group.batch),
                            from: AsyncThrowingStream<[SourceItem], any Error> { continuation in
                                let record = requests(0..<1)[0]
                                continuation.yield([SourceItem(index: 0, place: "r0", content: .record(record))])
                                continuation.finish(throwing: Died())
                            }
                        )
                    }
                    try await client.cancel(group.batch.text)
                    let batches = try await scene.dispatcher(client, queue).look()
                    #expect(batches.map(\.total) == [4], "the second group")
                    #expect(try await scene.tasks(client, of: batches[0].id).keys.sorted() == ["r4", "r5", "r6", "r7"])
                    #expect(await queue.state.unfinished.isEmpty)
                }
            }
        }
    }

    @Test("A changed key begins a new log, and keeps later requests apart")
    func changedKey() async throws {
        try await Stage.with(.embedded) { stage in
            var scene = Scene(stage: stage)
            func tenants(_ numbers: Range<Int>) -> [Record] {
                numbers.map { Record(id: "t\($0)", kind: .json, bytes: Array(#"{"tenant":\#($0 % 2)}"#.utf8)) }
            }
            try await stage.client { client in try await scene.queue(client) { try await $0.add(tenants(0..<4)) } }
            scene.configuration.key = "tenant"
            let changed = scene
            try await stage.client { client in
                try await changed.queue(client) { queue in
                    let dispatcher = changed.dispatcher(client, queue, rules: DispatchRules(queueThreshold: 10))
                    try await queue.update()
                    try await dispatcher.look()
                    try await queue.add(tenants(4..<8))
                    try await queue.flush()
                    try await queue.update()
                    let batches = try await dispatcher.look()
                    #expect(batches.map(\.total).sorted() == [2, 2, 4])
                }
            }
            try await changed.expectOnce(tenants(0..<8))
        }
    }

    private struct Wait {
        let added: Timestamp
        var dispatched: Timestamp?
    }

    @Test(
        "No request waits longer than the threshold and the interval, also if the dispatcher was dead meanwhile",
        arguments: [1, 2] as [UInt64]
    )
    func waits(seed: UInt64) async throws {
        try await Stage.with(.embedded, timeout: .seconds(300)) { stage in
            let clock = ManualClock()
            var made = Scene(stage: stage)
            made.configuration.clock = { clock.now }
            let scene = made
            let (threshold, interval) = (Duration.seconds(7200), Duration.seconds(600))
            let rules = DispatchRules(queueThreshold: 40, timeThreshold: threshold)
            try await stage.client { client in
                var random = SeededGenerator(state: seed)
                var waits: [String: Wait] = [:]
                var dead: [(from: Timestamp, to: Timestamp)] = []
                var next = clock.now + interval
                var queue = try await BrokerRequestQueue.open(
                    client: client,
                    name: Scene.name,
                    configuration: scene.configuration
                )
                func look() async throws {
                    clock.set(next)
                    next = next + interval
                    try await queue.update()
                    for batch in try await scene.dispatcher(client, queue, rules: rules, clock: { clock.now }).look() {
                        for id in try await scene.tasks(client, of: batch.id).keys { waits[id]?.dispatched = clock.now }
                    }
                }
                for number in 0..<1000 {
                    // 40 requests need six hours on average, so that both rules matter.
                    let time =
                        clock.now
                        + .milliseconds(
                            Int64.random(in: 0...(Bool.random(using: &random) ? 1_080_000 : 60_000), using: &random)
                        )
                    while next <= time { try await look() }
                    clock.set(time)
                    if number % 250 == 100 {
                        // It is dead for up to five hours, and another one starts late.
                        await queue.close()
                        let end = time + .milliseconds(Int64.random(in: 0...18_000_000, using: &random))
                        dead.append((time, end))
                        next = end
                        queue = try await BrokerRequestQueue.open(
                            client: client,
                            name: Scene.name,
                            configuration: scene.configuration
                        )
                    }
                    let request = requests(number..<number + 1)
                    waits[request[0].id] = Wait(added: clock.now)
                    try await queue.add(request)
                }
                for _ in 0..<14 { try await look() }
                await queue.close()
                #expect(waits.count == 1000)
                var longest = Duration.zero
                for (id, wait) in waits {
                    let dispatched = try #require(wait.dispatched, "\(id) was never dispatched")
                    // A dispatcher that would have looked in time was dead: the next one looks when it starts.
                    var due = wait.added + threshold
                    for period in dead where period.from <= due + interval && due < period.to { due = period.to }
                    #expect(dispatched <= due + interval, "\(id) waited \(dispatched - wait.added)")
                    longest = max(longest, dispatched - wait.added)
                }
                #expect(longest > threshold, "some wait until they are old")
            }
        }
    }
}
