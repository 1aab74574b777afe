import Sheaf
import SheafBroker
import SheafCore
import SheafFlows
import SheafTestSupport
import SheafTesting
import Synchronization
import Testing

@testable import SheafWorker

@Suite struct RateLimitTests {
    /// When calls began, all in one process, so that nothing but the flow itself measures.
    private final class Calls: Sendable {
        private let times = Mutex<[ContinuousClock.Instant]>([])

        func note() { times.withLock { $0.append(.now) } }
        var all: [ContinuousClock.Instant] { times.withLock { $0 } }
    }

    /// The first time at which something happened.
    private final class Moment: Sendable {
        private let moment = Mutex<ContinuousClock.Instant?>(nil)

        var value: ContinuousClock.Instant? { moment.withLock { $0 } }

        /// Records that it happens now; returns false if it has happened before.
        func note() -> Bool {
            moment.withLock { moment in
                if moment != nil { return false }
                moment = .now
                return true
            }
        }
    }

    private static func definition(_ name: String, _ limit: FlowRateLimit?, _ flow: ClosureFlow) throws
        -> FlowDefinition
    {
        FlowDefinition(name: try #require(Name(name)), flow: flow, retries: 0, rateLimit: limit)
    }

    @Test("All workers together keep a rate", arguments: BrokerKind.allCases)
    func aRateIsKeptByAllWorkersTogether(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let rate = try #require(RateLimit("50/s"))
            let calls = Calls()
            let limit = FlowRateLimit(key: .shared(Name("service")), rate: rate)
            // Two flows with one limit, on three workers.
            let flow = ClosureFlow { _ in
                calls.note()
                return .value(1)
            }
            let flows = try ["work", "other"].map { try Self.definition($0, limit, flow) }
            try await stage.client { client in
                let one = try await client.create(plan(), records: records(90))
                let second = BatchPlan(flow: Name("other"))
                let two = try await client.create(second, records: records(60))
                let start = ContinuousClock.now
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for _ in 0..<3 { group.addTask { try await stage.work(flows) } }
                    try await group.waitForAll()
                }
                for batch in [one, two] {
                    #expect(try await client.batch(batch.id.text).counts.succeeded == batch.total)
                }
                let times = calls.all.map { ($0 - start) / .seconds(1) }
                #expect(times.count == 150)
                // However busy the machine: delays only make it slower.
                for (number, time) in times.enumerated() {
                    #expect(Double(number + 1) <= Double(rate.burst) + rate.perSecond * 1.01 * time)
                }
            }
        }
    }

    @Test("A worker that dies does not change the rate", arguments: BrokerKind.allCases)
    func aWorkerThatIsGoneLeavesTheRateAsItIs(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let rate = try #require(RateLimit("100/s"))
            let key = RateLimitKey.flow(Name("work"))
            let flow = try Self.definition("work", FlowRateLimit(key: key, rate: rate), ClosureFlow { _ in .value(1) })
            try await stage.client { client in
                _ = try await client.create(plan(), records: records(10))
                try await stage.work([flow])
                let nonce = try #require(try await client.nonce(of: key))
                let tokens = client.names.tokens(key, nonce: nonce)
                // Another process dies while it holds tokens, one of them spent.
                try await stage.client { other in
                    let consumer = try await other.broker.consume(tokens, prefetch: 4)
                    var held: [Delivery] = []
                    while held.count < 4 { held += try #require(try await consumer.next()) }
                    try await other.broker.settle(held[0], as: .rejected)
                }
                // A second worker with the same limit makes none anew.
                _ = try await client.create(plan(), records: records(10))
                try await stage.work([flow])
                #expect(try await client.nonce(of: key) == nonce)
                let consumer = try await client.broker.consume(tokens, prefetch: 100)
                var all: [String] = []
                while all.count < rate.burst { all += try #require(try await consumer.next()).map(\.message.id) }
                #expect(Set(all).count == rate.burst && all.count == rate.burst)
                #expect(try await consumer.cancel().isEmpty)
            }
        }
    }

    @Test("A pause that a service asks for holds for all workers", arguments: BrokerKind.allCases)
    func aPauseHoldsForAllWorkers(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let (calls, said) = (Calls(), Moment())
            let pause = Duration.seconds(4)
            let flow = try FlowDefinition.work { task in
                calls.note()
                try await Task.sleep(for: .milliseconds(5))
                if calls.all.count >= 40, said.note() {
                    throw FlowThrottle(delay: pause, message: "429 Too Many Requests")
                }
                return .value(.integer(task.attempt))
            }
            try await stage.client { client in
                let batch = try await client.create(plan(), records: records(400))
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for _ in 0..<3 { group.addTask { try await stage.work([flow]) { $0.concurrency = 2 } } }
                    group.addTask {
                        try await until("it was told to wait") { said.value != nil }
                        // A worker that starts later respects the pause too.
                        try await stage.work([flow])
                    }
                    group.addTask {
                        try await until("the status reports it") {
                            let limited = try await client.batch(batch.id.text).limited
                            return limited?.key == .flow(batch.flow) && limited?.until != nil
                        }
                    }
                    try await group.waitForAll()
                }
                let moment = try #require(said.value)
                let late = calls.all.filter { $0 > moment + Self.reaction && $0 < moment + pause - .milliseconds(50) }
                #expect(late.isEmpty, "\(late.count) calls began within the pause")
                let outcomes = try await client.allResults(batch.id)
                #expect(outcomes.count == 400)
                // The call that was told to wait is no attempt.
                #expect(
                    outcomes.allSatisfy { $0.status == .succeeded && $0.attempts == 1 && $0.output == Array("1".utf8) }
                )
                #expect(calls.all.count == 401)
            }
        }
    }

    /// How soon all have stopped: 100 ms on an idle machine, more on one that runs tests.
    private static let reaction = Duration.milliseconds(500)

    @Test("A service that stays busy is called less and less often", arguments: BrokerKind.allCases)
    func aBusyServiceIsCalledLessAndLess(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let calls = Calls()
            let flow = try FlowDefinition.work { _ in
                calls.note()
                // So long that all slots call at the same time.
                try await Task.sleep(for: .milliseconds(100))
                throw FlowThrottle(message: "busy")
            }
            try await stage.client { client in
                let batch = try await client.create(plan(), records: records(3))
                let working = Task { try await stage.work([flow]) { $0.concurrency = 3 } }
                try await until("it was asked three times") { calls.all.count >= 9 }
                let times = calls.all
                // Three slots each time: 0.5 s, then 1 s, then 2 s.
                #expect(times[3] - times[0] > .milliseconds(450) && times[6] - times[3] > .milliseconds(900))
                try await client.cancel(batch.id.text)
                _ = try await working.value
                #expect(try await client.batch(batch.id.text).counts.failed == 0)
            }
        }
    }

    @Test("A paused flow keeps no other flow from running", arguments: BrokerKind.allCases)
    func oneFlowThatWaitsKeepsNoOtherFromRunning(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let (first, second) = (Gate(), Calls())
            let slow = try Self.definition(
                "work",
                nil,
                ClosureFlow { _ in
                    await first.open()
                    throw FlowThrottle(delay: .seconds(600), message: "come back later")
                }
            )
            let quick = try Self.definition(
                "other",
                nil,
                ClosureFlow { _ in
                    second.note()
                    return .value(1)
                }
            )
            try await stage.client { client in
                let waiting = try await client.create(plan(), records: records(50))
                let working = Task { try await stage.work([slow, quick]) { $0.concurrency = 2 } }
                await first.wait()
                let other = BatchPlan(flow: Name("other"))
                _ = try await client.create(other, records: records(50))
                try await until("the other flow has run") { second.all.count == 50 }
                // What waits does not keep a cancel or the worker's end from coming.
                try await client.cancel(waiting.id.text)
                #expect(try await working.value.failed == 0)
                #expect(try await client.batch(waiting.id.text).status == .cancelled)
            }
        }
    }

    @Test("Workers that mint at the same time end with the tokens of one of them", arguments: BrokerKind.allCases)
    func mintingAtTheSameTime(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let rate = try #require(RateLimit("50/s"))
            let key = RateLimitKey.shared("service")
            try await stage.client { client in
                let (log, names) = (client.names.limits, client.names)
                let broker = MeetingBroker(client.broker, log: log, count: 3)
                let meeting = try await SheafClient(broker: broker, namespace: stage.namespace)
                let workers = (0..<3).map { RateLimits(client: meeting, worker: "w\($0)", timing: WorkerTiming()) }
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for limits in workers {
                        group.addTask {
                            let mint = TokenMint(client: meeting, limits: limits)
                            try await mint.establish(FlowRateLimit(key: key, rate: rate))
                        }
                    }
                    try await group.waitForAll()
                }
                let nonce = try #require(try await client.nonce(of: key))
                for limits in workers {
                    try await limits.catchUp()
                    #expect(limits[key].nonce == nonce && limits[key].rate == rate)
                }
                #expect(broker.declared.count == 6)
                for queue in broker.declared {
                    let exists = try await client.broker.queueStatus(queue) != nil
                    #expect(exists == queue.hasSuffix(".\(nonce)"), "\(queue)")
                }
                try await until("all its tokens are there") {
                    try await client.broker.queueStatus(names.tokens(key, nonce: nonce))?.ready == rate.burst
                }

                // The next one deletes the tokens of a worker that was killed before it had deleted any.
                let killed = names.tokens(key, nonce: "killed")
                try await client.broker.declareQueue(QueueDeclaration(name: killed, kind: .tokens()))
                let entry = RateLimitEntry.Event.set(rate: RateLimit("1/s"), nonce: "killed")
                try await client.broker.append(
                    RateLimitEntry(key: key, at: .now, worker: "w", event: entry).message,
                    to: log
                )
                let next = FlowRateLimit(key: key, rate: RateLimit("20/s"))
                try await TokenMint(client: client, limits: workers[0]).establish(next)
                for queue in [killed, names.tokens(key, nonce: nonce), names.spentTokens(key, nonce: nonce)] {
                    #expect(try await client.broker.queueStatus(queue) == nil, "\(queue)")
                }
            }
        }
    }

    @Test("New tokens are spent one lifetime after they were set, so that two nonces together keep the rate")
    func startOfTokens() throws {
        let (rate, now) = (try #require(RateLimit("50/s")), ContinuousClock.now)
        func set(_ nonce: String) -> RateLimitEntry {
            RateLimitEntry(key: .flow("work"), at: .now, worker: "w", event: .set(rate: rate, nonce: nonce))
        }
        var state = RateLimitState()
        state.apply(set("a"), age: .seconds(1), now: now)
        #expect(state.start == now + rate.tokenLifetime - .seconds(1) && state.replaced == [])
        state.apply(set("b"), age: .zero, now: now)
        #expect(state.start == now + rate.tokenLifetime && state.nonce == "b" && state.replaced == ["a"])
        for number in 0..<200 { state.apply(set("n\(number)"), age: .zero, now: now) }
        #expect(state.replacements == 201 && state.replaced.count == 64 && state.replaced.last == "n198")
    }

    @Test("A pause that was written while a worker was not connected has passed", arguments: BrokerKind.allCases)
    func oldPauses(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            try await stage.client { client in
                let key = RateLimitKey.shared("service")
                let limits = RateLimits(client: client, worker: "w", timing: WorkerTiming())
                let events: [RateLimitEntry.Event] = [
                    .throttled(delay: .seconds(60), level: 1, reason: "busy"), .set(rate: nil, nonce: "n"),
                ]
                for event in events {
                    let entry = RateLimitEntry(key: key, at: .now + .seconds(-120), worker: "v", event: event)
                    try await client.broker.append(entry.message, to: client.names.limits)
                }
                let following = Task { try await limits.run() }
                defer { following.cancel() }
                try await until("they are read") { limits[key].nonce == "n" }
                #expect(limits[key].pause() == nil)
            }
        }
    }

    @Test("The worker that starts last decides the rate", arguments: BrokerKind.allCases)
    func theWorkerThatStartsLastDecidesOnTheRate(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let key = RateLimitKey.shared(Name("service"))
            let (calls, flow) = (Calls(), ClosureFlow { _ in .value(1) })
            try await stage.client { client in
                _ = try await client.create(plan(), records: records(500))
                let slow = try Self.definition("work", FlowRateLimit(key: key, rate: RateLimit("1/h")), flow)
                let noting = ClosureFlow { _ in
                    calls.note()
                    return .value(1)
                }
                let first = Task { try await stage.work([slow]) }
                try await until("the limit is set") { try await client.nonce(of: key) != nil }
                let fast = try Self.definition("work", FlowRateLimit(key: key, rate: RateLimit("1000/s")), noting)
                try await stage.work([fast])
                #expect(!calls.all.isEmpty)
                // Else the first would still wait for its first hour to pass.
                _ = try await first.value
            }
        }
    }
}

/// A broker on which the first appends to a log wait for each other.
private final class MeetingBroker: BrokerWrapper {
    let inner: any Broker
    private let log: String
    private let count: Int
    private let state = Mutex<(arrived: Int, declared: [String])>((0, []))
    private let gate = Gate()

    init(_ inner: any Broker, log: String, count: Int) {
        (self.inner, self.log, self.count) = (inner, log, count)
    }

    /// The queues that were declared.
    var declared: [String] { state.withLock { $0.declared } }

    func declareQueue(_ declaration: QueueDeclaration) async throws {
        state.withLock { $0.declared.append(declaration.name) }
        try await inner.declareQueue(declaration)
    }

    func append(_ messages: [Message], to log: String) async throws {
        if log == self.log {
            let arrived = state.withLock { state in
                state.arrived += 1
                return state.arrived
            }
            if arrived >= count { await gate.open() }
            await gate.wait()
        }
        try await inner.append(messages, to: log)
    }
}

extension SheafClient {
    /// The nonce in the names of a limit's queues, from the log; nil if it was never set.
    func nonce(of key: RateLimitKey) async throws -> String? {
        let end = try #require(try await broker.endOffset(of: names.limits))
        let reader = try await broker.read(names.limits, from: .first)
        var nonce: String?
        while end > 0, let chunk = try await reader.next() {
            for entry in chunk.entries.compactMap({ RateLimitEntry($0.message) }) where entry.key == key {
                if case .set(_, let name) = entry.event { nonce = name }
            }
            if chunk.nextOffset >= end { break }
        }
        await reader.cancel()
        return nonce
    }
}
