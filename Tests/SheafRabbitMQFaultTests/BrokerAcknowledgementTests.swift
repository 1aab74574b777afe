import SheafBroker
import SheafCore
import SheafRabbitMQ
import SheafTesting
import Testing

/// Deliveries that are held for longer than the broker's acknowledgement time-out, here 3 s.
@Suite(.serialized) struct BrokerAcknowledgementTests {
    private static let node = Task {
        try await RabbitMQNode.start(settings: ["consumer_timeout=3000", "channel_tick_interval=500"])
    }

    @Test(.timeLimit(.minutes(1)))
    func aDeliveryHeldTooLongComesAgainAndNothingElseIsHarmed() async throws {
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
        // It ends for good, and does not wait when asked again.
        let again = try await brokerError { _ = try await within(.seconds(5)) { try await consumer.next() } }
        #expect(again.0.code == .connectionLost)
        #expect(try await consumer.cancel().isEmpty)

        // The other channels of the connection live on.
        #expect(await lock.isHeld)
        try await broker.publish(Message(id: "quick"), to: quick)
        let bystanders = try #require(try await within(.seconds(10)) { try await bystander.next() })
        try await broker.settle(bystanders, as: .acknowledged)
        try await broker.append(Message(id: "entry"), to: log)
        #expect(try await within(.seconds(10)) { try await reader.next() }?.entries.first?.message.id == "entry")

        // The delivery comes again; the tag of the first one settles nothing, though the new one has the same number.
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
            "| acknowledgement time-out of 3 s, looked at every 0.5 s | a delivery held | its consumer ended with "
                + "'\(ended.0.code)' after \(ended.after.rounded); the delivery came again with its count, other channels "
                + "lived on |"
        )
        await broker.close()
    }

    @Test(.timeLimit(.minutes(1)))
    func whatWasTakenByGetIsTakenBackAndGetGoesOn() async throws {
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
        print("| the same, taken by get | | came again after \((.now - start).rounded); get goes on |")
        await broker.close()
    }
}
