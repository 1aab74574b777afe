import SheafBroker
import SheafCore
import SheafEmbedded
import Testing

@Suite("Waiting tasks wake promptly", .serialized)
struct WakingTests {
    @Test("A message reaches a waiting consumer of another instance within milliseconds", .timeLimit(.minutes(1)))
    func latency() async throws {
        let folder = try TemporaryFolder()
        let (publisher, worker) = (
            try await SQLiteBroker.open(directory: folder.broker), try await SQLiteBroker.open(directory: folder.broker)
        )
        try await publisher.declareQueue(QueueDeclaration(name: "q", kind: .work(deliveryLimit: 3)))
        let consumer = try await worker.consume("q", prefetch: 1)
        var times: [Duration] = []
        for number in 0..<100 {
            let waiting = Task {
                let deliveries = try await consumer.next() ?? []
                let arrival = ContinuousClock.now
                try await worker.settle(deliveries, as: .acknowledged)
                return arrival
            }
            // Long enough for the consumer to wait in most rounds; the median ignores the others.
            try await Task.sleep(for: .milliseconds(5))
            let start = ContinuousClock.now
            try await publisher.publish(Message(id: String(number)), to: "q")
            times.append(try await waiting.value - start)
        }
        times.sort()
        print("wake latency: median \(times[50]), 95 % \(times[95])")
        #expect(times[50] < .milliseconds(20))
        await publisher.close()
        await worker.close()
    }

    @Test("A delayed message wakes a consumer when it is due", .timeLimit(.minutes(1)))
    func delay() async throws {
        let folder = try TemporaryFolder()
        let broker = try await SQLiteBroker.open(directory: folder.broker)
        try await broker.declareQueue(QueueDeclaration(name: "q", kind: .work(deliveryLimit: 3, acceptsDelayed: true)))
        let consumer = try await broker.consume("q", prefetch: 1)
        var times: [Duration] = []
        for number in 0..<5 {
            let start = ContinuousClock.now
            try await broker.publish(Message(id: String(number)), to: "q", after: .milliseconds(137))
            let deliveries = try #require(try await consumer.next())
            times.append(ContinuousClock.now - start)
            try await broker.settle(deliveries, as: .acknowledged)
        }
        times.sort()
        // Never early; the lateness depends on the load of the machine, and the median ignores single rounds.
        #expect(times[0] >= .milliseconds(137) && times[2] < .milliseconds(237), "arrived after \(times)")
        await broker.close()
    }

    @Test("A broker released without being closed leaves only its session", .timeLimit(.minutes(1)))
    func forgotten() async throws {
        let folder = try TemporaryFolder()
        do {
            let broker = try await SQLiteBroker.open(directory: folder.broker)
            try await broker.declareQueue(QueueDeclaration(name: "q", kind: .work(deliveryLimit: 3)))
            try await broker.publish(Message(id: "held"), to: "q")
            _ = try await broker.get("q")
            _ = try await broker.acquireLock("lock")
            _ = try await broker.consume("q", prefetch: 1)
        }
        let next = try await SQLiteBroker.open(directory: folder.broker)
        try await eventually(within: .seconds(5), "the message has returned") { try await next.get("q") != nil }
        try await eventually(within: .seconds(5), "the lock is free") { try await !next.isLocked("lock") }
        await next.close()
    }
}
