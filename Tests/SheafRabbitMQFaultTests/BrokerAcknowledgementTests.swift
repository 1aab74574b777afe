import SheafBroker
import SheafCore
import SheafRabbitMQ
import SheafTestTools
import Testing

/// Deliveries held for longer than the acknowledgement time-out of the broker, here 3 s.
@Suite(.serialized) struct BrokerAcknowledgementTests {
    private static let node = Task {
        try await RabbitMQNode.start(settings: ["consumer_timeout=3000", "channel_tick_interval=500"])
    }

    @Test("A delivery held too long is redelivered, and other channels are unaffected", .timeLimit(.minutes(1)))
    func heldTooLong() async throws {
        let broker = try await impatientBroker(try await Self.node.value.url)
        let (slow, quick, log) = ("slow-\(UInt64.random(in: 0 ... .max))", "quick", "log")
        try await broker.declareQueue(QueueDeclaration(name: slow, kind: .work(deliveryLimit: 5)))
        try await broker.declareQueue(QueueDeclaration(name: quick, kind: .work(deliveryLimit: 5)))
        try await broker.declareLog(LogDeclaration(name: log))
        try await broker.publish([Message(id: "0"), Message(id: "1")], to: slow)
        let consumer = try await broker.consume(slow, prefetch: 1)
        let bystander = try await broker.consume(quick, prefetch: 1)
        let reader = try await broker.read(log, from: .first)
        let lock = try #require(try await broker.acquireLock("lock-\(slow)"))
        let held = try #require(try await within(.seconds(10)) { try await consumer.next() })
        #expect(held.map(\.message.id) == ["0"])

        let ended = try await brokerError { _ = try await within(.seconds(20)) { try await consumer.next() } }
        #expect(ended.0.code == .connectionLost)
        #expect(ended.0.isRetryable)
        #expect(ended.0.message.contains("406"), "\(ended.0)")
        #expect(ended.0.message.contains(slow), "\(ended.0)")
        // It has ended permanently and does not wait when called again.
        let again = try await brokerError { _ = try await within(.seconds(5)) { try await consumer.next() } }
        #expect(again.0.code == .connectionLost)
        #expect(try await consumer.cancel().isEmpty)

        // The other channels of the connection remain open.
        #expect(await lock.isHeld)
        try await broker.publish(Message(id: "quick"), to: quick)
        let bystanders = try #require(try await within(.seconds(10)) { try await bystander.next() })
        try await broker.settle(bystanders, as: .acknowledged)
        try await broker.append(Message(id: "entry"), to: log)
        #expect(try await within(.seconds(10)) { try await reader.next() }?.entries.first?.message.id == "entry")

        // The message is redelivered; the token of the first delivery settles nothing, although both have the same tag.
        let second = try await broker.consume(slow, prefetch: 1)
        let back = try #require(try await within(.seconds(10)) { try await second.next() })
        #expect(back.map(\.message.id) == ["0"])
        #expect(back.first?.earlierDeliveries == 1)
        #expect(back.first?.token.tag == held.first?.token.tag)
        try await broker.settle(held, as: .acknowledged)
        try await broker.settle(back, as: .returned)
        let third = try #require(try await within(.seconds(10)) { try await second.next() })
        #expect(third.map(\.message.id) == ["0"])
        #expect(third.first?.earlierDeliveries == 2)
        try await broker.settle(third, as: .acknowledged)
        let last = try #require(try await within(.seconds(10)) { try await second.next() })
        #expect(last.map(\.message.id) == ["1"])
        try await broker.settle(last, as: .acknowledged)
        print(
            "| acknowledgement time-out of 3 s, checked every 0.5 s | a delivery held | its consumer ended with "
                + "'\(ended.0.code)' after \(ended.after.rounded); the message was redelivered with its count, other "
                + "channels stayed open |"
        )
        await broker.close()
    }

    @Test("A message taken by get and held too long is redelivered, and get continues", .timeLimit(.minutes(1)))
    func takenByGet() async throws {
        let broker = try await impatientBroker(try await Self.node.value.url)
        let queue = "get-\(UInt64.random(in: 0 ... .max))"
        try await broker.declareQueue(QueueDeclaration(name: queue, kind: .work(deliveryLimit: 5)))
        try await broker.publish(Message(id: "0"), to: queue)
        let held = try #require(try await broker.get(queue))
        let start = ContinuousClock.now
        let broken = try await within(.seconds(20)) {
            while true {
                if let delivery = try await broker.get(queue) { return delivery }
                try await Task.sleep(for: .milliseconds(50))
            }
        }
        #expect(broken.message.id == "0")
        #expect(broken.earlierDeliveries == 1)
        try await broker.settle(held, as: .acknowledged)
        try await broker.settle(broken, as: .returned)
        let third = try #require(try await broker.get(queue))
        #expect(third.earlierDeliveries == 2)
        try await broker.settle(third, as: .acknowledged)
        #expect(try await broker.get(queue) == nil)
        print("| the same, taken by get | | redelivered after \((.now - start).rounded); get continues |")
        await broker.close()
    }
}
