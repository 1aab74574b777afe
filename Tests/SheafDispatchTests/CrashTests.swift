import Sheaf
import SheafBroker
import SheafCore
import SheafTestSupport
import SheafTesting
import Synchronization
import Testing

@testable import SheafBatches
@testable import SheafDispatch

/// A connection that breaks at one of its calls, before or after the broker has done what the call asks for.
private final class BreakingBroker: BrokerWrapper {
    let inner: any Broker
    private let limit: Int
    private let isDone: Bool
    private let count = Atomic(0)

    init(_ inner: any Broker, at limit: Int, done: Bool) {
        (self.inner, self.limit, isDone) = (inner, limit, done)
    }

    var isBroken: Bool { count.load(ordering: .relaxed) >= limit }

    func passing<Result>(_ call: () async throws -> Result) async throws -> Result {
        let number = count.wrappingAdd(1, ordering: .relaxed).newValue
        if number < limit { return try await call() }
        if number == limit {
            if isDone { _ = try await call() }
            await inner.close()
        }
        throw BrokerError(.closed, "the process is dead")
    }
}

@Suite("Dispatchers that die")
struct DispatcherCrashTests {
    @Test(
        "A dispatcher that dies at any step loses no request and repeats none",
        arguments: [(BrokerKind.embedded, 1, true), (.embedded, 4, false), (.rabbitMQ, 9, true)]
    )
    func anyStep(kind: BrokerKind, stride interval: Int, isDone: Bool) async throws {
        try await Stage.with(kind, timeout: .seconds(400)) { stage in
            var scene = Scene(stage: stage)
            scene.configuration.logCount = 20
            scene.configuration.window = 1000
            var added: [Record] = []
            var deaths = 0
            for step in stride(from: 1, through: 1000, by: interval) {
                let more = requests(added.count..<added.count + 5)
                try await stage.client { client in try await scene.queue(client) { try await $0.add(more) } }
                added += more
                guard try await dies(at: step, isDone, scene) else { break }
                deaths += 1
                // The next one takes over, so that each death meets the same amount of work.
                try await stage.client { client in
                    try await scene.queue(client) { queue in
                        try await queue.update()
                        try await scene.dispatcher(client, queue).look()
                    }
                }
            }
            #expect(deaths > 30 / interval)
            try await scene.dispatchAll()
            try await scene.expectOnce(added)
        }
    }

    /// Dispatches with a connection that breaks at a step; returns whether it came to that.
    private func dies(at step: Int, _ isDone: Bool, _ scene: Scene) async throws -> Bool {
        let name = scene.stage.namespace
        let broker = BreakingBroker(
            try await BrokerRegistry.standard.open(scene.stage.reference, namespace: name.text),
            at: step,
            done: isDone
        )
        do {
            let client = try await SheafClient(broker: broker, namespace: name)
            let queue = try await BrokerRequestQueue.open(
                client: client,
                name: Scene.name,
                configuration: scene.configuration
            )
            do {
                try await queue.update()
                try await scene.dispatcher(client, queue).look()
            } catch {
                await queue.close()
                throw error
            }
            await queue.close()
        } catch {
            #expect(broker.isBroken, "\(error)")
        }
        await broker.close()
        return broker.isBroken
    }

    @Test("Senders and two dispatchers at once, over many short logs", arguments: BrokerKind.allCases)
    func rolling(kind: BrokerKind) async throws {
        try await Stage.with(kind, timeout: .seconds(400)) { stage in
            var made = Scene(stage: stage)
            made.configuration.logCount = 50
            made.configuration.window = 100
            made.configuration.deletionInterval = .zero
            let scene = made
            let all = requests(0..<600)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<2 {
                    group.addTask {
                        try await stage.client { client in
                            try await scene.queue(client) { queue in
                                try await scene.dispatcher(client, queue, rules: DispatchRules(queueThreshold: 30))
                                    .run()
                            }
                        }
                    }
                }
                try await withThrowingTaskGroup(of: Void.self) { senders in
                    for sender in 0..<3 {
                        senders.addTask {
                            try await stage.client { client in
                                try await scene.queue(client) { queue in
                                    for part in stride(from: sender * 200, to: sender * 200 + 200, by: 20) {
                                        // The dispatchers keep up, so that they begin new logs.
                                        while try await queue.waiting().count > 60 {
                                            try await Task.sleep(for: .milliseconds(20))
                                        }
                                        try await queue.add(Array(all[part..<part + 20]))
                                    }
                                }
                            }
                        }
                    }
                    try await senders.waitForAll()
                }
                group.cancelAll()
                while let result = await group.nextResult() {
                    if case .failure(let error) = result, !(error is CancellationError) { throw error }
                }
            }
            try await scene.dispatchAll(DispatchRules(queueThreshold: 30))
            try await scene.expectOnce(all)
            try await stage.client { client in
                // Logs stay until the batches of their requests have ended.
                #expect(try await client.broker.endOffset(of: client.names.requests(Scene.name, log: 1)) != nil)
                for batch in try await client.batches() {
                    try await client.cancel(batch.info.id.text)
                    _ = try await client.wait(for: batch.info.id.text)
                }
                try await scene.queue(client) { queue in
                    try await queue.add(requests(0..<1, prefix: "last"))
                    try await queue.flush()
                    try await queue.update()
                    try await scene.dispatcher(client, queue).look()
                    let state = await queue.state
                    #expect(state.current > 4, "600 requests in logs of 50 and some more")
                    #expect(state.oldest > 1 && state.current - state.oldest < 6, "\(state.oldest) of \(state.current)")
                }
                #expect(try await client.broker.endOffset(of: client.names.requests(Scene.name, log: 1)) == nil)
            }
        }
    }
}

/// A connection that does something before or after the first append to a log.
private final class InterruptedBroker: BrokerWrapper {
    let inner: any Broker
    private let log: String
    private let isLate: Bool
    private let action: Mutex<(@Sendable () async throws -> Void)?>

    init(_ inner: any Broker, log: String, late: Bool, _ action: @escaping @Sendable () async throws -> Void) {
        (self.inner, self.log, isLate) = (inner, log, late)
        self.action = Mutex(action)
    }

    func append(_ messages: [Message], to log: String) async throws {
        guard log == self.log, let action = action.withLock({ $0.take() }) else {
            return try await inner.append(messages, to: log)
        }
        if !isLate { try await action() }
        try await inner.append(messages, to: log)
        if isLate { try await action() }
    }
}

@Suite("Senders")
struct SenderTests {
    @Test(
        "A log that ends while a sender appends to it loses nothing",
        arguments: BrokerKind.allCases,
        [true, false]
    )
    func ended(kind: BrokerKind, isLate: Bool) async throws {
        try await Stage.with(kind) { stage in
            let scene = Scene(stage: stage)
            let name = stage.namespace
            try await stage.client { client in
                try await scene.queue(client) { other in
                    try await other.add(requests(0..<3))
                    let inner = try await BrokerRegistry.standard.open(stage.reference, namespace: name.text)
                    let log = client.names.requests(Scene.name, log: 1)
                    let broker = InterruptedBroker(inner, log: log, late: isLate) {
                        try await other.open(2)
                        try await other.end(1)
                    }
                    let sender = try await SheafClient(broker: broker, namespace: name)
                    try await scene.queue(sender) { try await $0.add(requests(3..<6)) }
                    await sender.close()
                    let next = client.names.requests(Scene.name, log: 2)
                    var found: [String] = []
                    let end = try await client.broker.presentEnd(of: next)
                    try await client.broker.entries(of: next, from: .first, upTo: end) { found.append($0.message.id) }
                    #expect(found == (isLate ? [] : ["r3", "r4", "r5"]))
                    #expect(try await other.waiting().count == 6)
                }
            }
            try await scene.dispatchAll()
            try await scene.expectOnce(requests(0..<6))
        }
    }
}
