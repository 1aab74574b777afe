import SheafBroker
import SheafCore
import SheafRabbitMQ
import SheafTestTools
import Testing

@Suite struct DelayTests {
    @Test("A delayed message of a deleted queue does not block others")
    func deletedTarget() async throws {
        let namespace = uniqueName("delay")
        let broker = try await connect(try await RabbitMQNode.shared, namespace: namespace)
        let (gone, kept) = (uniqueName("gone"), uniqueName("kept"))
        for name in [gone, kept] {
            try await broker.declareQueue(
                QueueDeclaration(name: name, kind: .work(deliveryLimit: 3, acceptsDelayed: true))
            )
        }
        // Deleted first: if a busy broker deletes it late, the message may have reached it.
        try await broker.deleteQueue(gone)
        // More than the 32 messages that RabbitMQ dead-letters at a time, so that they fill that window if they stay.
        for _ in 0..<40 { try await broker.publish(Message(id: "lost"), to: gone, after: .milliseconds(400)) }
        try await broker.publish(Message(id: "found"), to: kept, after: .milliseconds(500))
        let delivery = try await receive(try await broker.consume(kept, prefetch: 1))
        #expect(delivery.message.id == "found")
        #expect(try await broker.queueStatus("\(namespace).undeliverable")?.ready == 0)
        try await broker.deleteQueue(kept)
        await broker.close()
    }

    @Test("A delay does not count as a death")
    func aDelayDoesNotCountAsADeath() async throws {
        let broker = try await connect(try await RabbitMQNode.shared)
        let (tasks, suspects, dead) = (uniqueName("tasks"), uniqueName("suspects"), uniqueName("dead"))
        try await broker.declareLog(LogDeclaration(name: dead))
        try await broker.declareQueue(
            QueueDeclaration(name: suspects, kind: .work(deliveryLimit: 0, deadLetter: .log(dead)))
        )
        try await broker.declareQueue(
            QueueDeclaration(
                name: tasks,
                kind: .work(deliveryLimit: 0, deadLetter: .queue(suspects), acceptsDelayed: true)
            )
        )
        let message = Message(id: "task", headers: [Message.Header("kept", .bool(true))])
        try await broker.publish(message, to: tasks, after: .milliseconds(100))
        let delayed = try await receive(try await broker.consume(tasks, prefetch: 1))
        #expect(delayed.message == message)
        #expect(delayed.death == nil)
        try await broker.settle(delayed, as: .returned)

        let expected = Delivery.Death(reason: "delivery_limit", queue: tasks)
        let suspect = try await receive(try await broker.consume(suspects, prefetch: 1))
        #expect(suspect.message == message)
        #expect(suspect.death == expected)
        try await broker.settle(suspect, as: .returned)

        let entry = try #require(try await entries(1, of: dead, from: .first, on: broker).first)
        #expect(entry.message.id == "task")
        #expect(entry.message.string("x-first-death-reason") == expected.reason)
        #expect(entry.message.string("x-first-death-queue") == expected.queue)
        for name in [tasks, suspects, dead] { try await broker.deleteQueue(name) }
        await broker.close()
    }

    @Test("A removed step of the delay ladder is declared again")
    func removedStep() async throws {
        let node = try await RabbitMQNode.shared
        let namespace = uniqueName("delay")
        let broker = try await connect(node, namespace: namespace)
        let queue = uniqueName("tasks")
        try await broker.declareQueue(
            QueueDeclaration(name: queue, kind: .work(deliveryLimit: 3, acceptsDelayed: true))
        )
        try await broker.publish(Message(id: "0"), to: queue, after: .milliseconds(50))
        let consumer = try await broker.consume(queue, prefetch: 1)
        let first = try await receive(consumer)
        try await broker.settle(first, as: .acknowledged)
        try await broker.deleteQueue("\(namespace).delay.125ms")
        try await broker.publish(Message(id: "1"), to: queue, after: .milliseconds(50))
        #expect(try await receive(consumer).message.id == "1")
        try await broker.deleteQueue(queue)
        await broker.close()
    }

    @Test("A delay longer than the longest step is rejected")
    func tooLongDelay() async throws {
        let broker = try await connect(try await RabbitMQNode.shared)
        let error = try await brokerError {
            try await broker.publish(Message(), to: "nowhere", after: .seconds(100 * 86_400))
        }
        #expect(error.code == .invalidArgument)
        await broker.close()
    }
}
