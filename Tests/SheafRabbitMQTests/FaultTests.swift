import SheafBroker
import SheafCore
import SheafRabbitMQ
import SheafTestTools
import Testing

/// Faults of the broker itself, on a private node.
@Suite struct FaultTests {
    @Test("The broker layer recovers from closed connections, a memory alarm and a crash", .timeLimit(.minutes(2)))
    func recovery() async throws {
        try await RabbitMQNode.with { node in
            try await connectionsAreKilled(on: node)
            try await memoryIsShort(on: node)
            try await theNodeCrashes(node)
        }
    }

    private func connectionsAreKilled(on node: RabbitMQNode) async throws {
        let broker = try await connect(node)
        let (queue, log, name) = (uniqueName("queue"), uniqueName("log"), uniqueName("lock"))
        try await broker.declareQueue(QueueDeclaration(name: queue, kind: .work(deliveryLimit: 5)))
        try await broker.declareLog(LogDeclaration(name: log))
        try await broker.publish([Message(id: "0"), Message(id: "1")], to: queue)
        let consumer = try await broker.consume(queue, prefetch: 1)
        let held = try await receive(consumer)
        let reader = try await broker.read(log, from: .first)
        let lock = try #require(try await broker.acquireLock(name))

        try await node.rabbitmqctl("close_all_connections", "for a test")
        let ended = try await brokerError { _ = try await within(.seconds(10)) { try await consumer.next() } }
        #expect(ended.code == .connectionLost)
        let left = try await brokerError { _ = try await within(.seconds(10)) { try await reader.next() } }
        #expect(left.code == .connectionLost)
        #expect(await !lock.isHeld)
        await lock.release()
        try await broker.settle(held, as: .acknowledged)
        #expect(try await consumer.cancel().isEmpty)

        try await broker.publish(Message(id: "2"), to: queue)
        try await broker.append(Message(id: "entry"), to: log)
        let again = try await broker.consume(queue, prefetch: 10)
        let back = try await receive(again)
        #expect(back.message.id == "0")
        #expect(back.earlierDeliveries == 1)
        #expect(try await entries(1, of: log, from: .first, on: broker).first?.message.id == "entry")
        #expect(try await !broker.isLocked(name))
        #expect(try await broker.acquireLock(name) != nil)
        await broker.close()
    }

    private func memoryIsShort(on node: RabbitMQNode) async throws {
        let broker = try await connect(node, confirmWithin: .seconds(1))
        let queue = uniqueName("queue")
        try await broker.declareQueue(QueueDeclaration(name: queue, kind: .work(deliveryLimit: 5)))
        try await broker.publish([Message(id: "0"), Message(id: "1")], to: queue)
        let consumer = try await broker.consume(queue, prefetch: 1)
        let first = try await receive(consumer)
        try await node.rabbitmqctl("set_vm_memory_high_watermark", "0.0000001")

        // The broker accepts the first message after the alarm before it stops reading.
        let error = try await brokerError {
            try await within(.seconds(20)) { while true { try await broker.publish(Message(id: "2"), to: queue) } }
        }
        #expect(error.code == .blocked)
        #expect(error.isRetryable)
        // Everything else continues.
        try await broker.settle(first, as: .acknowledged)
        #expect(try await receive(consumer).message.id == "1")
        #expect(try await broker.queueStatus(queue)?.consumers == 1)
        #expect(try await broker.acquireLock(uniqueName("lock")) != nil)

        try await node.rabbitmqctl("set_vm_memory_high_watermark", "0.4")
        try await retrying { try await broker.publish(Message(id: "3"), to: queue) }
        await broker.close()
    }

    private func theNodeCrashes(_ node: RabbitMQNode) async throws {
        let broker = try await connect(node)
        let (queue, log) = (uniqueName("queue"), uniqueName("log"))
        try await broker.declareQueue(
            QueueDeclaration(name: queue, kind: .work(deliveryLimit: 5, acceptsDelayed: true))
        )
        try await broker.declareLog(LogDeclaration(name: log))
        try await broker.publish((0..<50).map { Message(id: String($0)) }, to: queue)
        try await broker.append((0..<50).map { Message(id: String($0)) }, to: log)
        try await broker.publish(Message(id: "later"), to: queue, after: .milliseconds(10_000))
        // The broker loses queues that were declared shortly before it is killed.
        try await Task.sleep(for: .seconds(5))
        let consumer = try await broker.consume(queue, prefetch: 10)
        _ = try await receive(consumer)

        try await node.kill()
        let ended = try await brokerError {
            try await within(.seconds(10)) { while try await consumer.next() != nil {} }
        }
        #expect(ended.code == .connectionLost)
        let down = try await brokerError { try await within(.seconds(10)) { _ = try await broker.queueStatus(queue) } }
        #expect(down.isRetryable)
        try await node.restart()

        let again = try await retrying { try await broker.consume(queue, prefetch: 100) }
        let ids = try await within(.seconds(30)) {
            var ids: Set<String> = []
            while ids.count < 51, let arrived = try await again.next() { ids.formUnion(arrived.map(\.message.id)) }
            return ids
        }
        #expect(ids == Set((0..<50).map(String.init) + ["later"]))
        let read = try await retrying { try await entries(50, of: log, from: .first, on: broker) }
        #expect(read.map(\.message.id) == (0..<50).map(String.init))
        try await retrying { try await broker.publish(Message(id: "after"), to: queue) }
        await broker.close()
    }
}
