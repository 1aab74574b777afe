import AMQPClient
import SheafBroker
import SheafCore
import SheafRabbitMQ
import SheafTestTools
import Testing

/// Topics on the shared node, with queues that are bound through a client of their own.
@Suite("Topics") struct TopicTests {
    /// A topic and the connection of a stranger who binds queues to it.
    private struct Scene {
        let broker: RabbitMQBroker
        let topic: String
        let stranger: AMQPChannel

        static func with(_ body: (Scene) async throws -> Void) async throws {
            let node = try await RabbitMQNode.shared
            let broker = try await connect(node)
            let connection = try await AMQPConnection.connect(AMQPConfiguration(url: node.url))
            let topic = uniqueName("topic")
            let scene = Scene(broker: broker, topic: topic, stranger: try await connection.openChannel())
            try await broker.declareTopic(topic)
            let result: Result<Void, any Error>
            do { result = .success(try await body(scene)) } catch { result = .failure(error) }
            try? await connection.openChannel().deleteExchange(topic)
            await connection.close()
            await broker.close()
            try result.get()
        }

        func bind(_ key: String, _ arguments: AMQPTable = AMQPTable()) async throws -> String {
            let queue = uniqueName("stranger")
            try await stranger.declareQueue(queue, exclusive: true, arguments: arguments)
            try await stranger.bindQueue(queue, to: topic, routingKey: key)
            return queue
        }

        func bodies(_ queue: String) async throws -> [String] {
            var bodies: [String] = []
            while let delivery = try await stranger.get(queue) {
                bodies.append(String(decoding: delivery.body, as: UTF8.self))
            }
            return bodies
        }
    }

    private func message(_ key: String, _ text: String) -> TopicMessage {
        TopicMessage(key: key, message: Message(id: text, type: "outcome", body: Array(text.utf8)))
    }

    @Test("A message reaches each queue whose pattern matches its key, persistent and in order")
    func routing() async throws {
        try await Scene.with { scene in
            let all = try await scene.bind("#")
            let failed = try await scene.bind("*.*.failed")
            let refused = try await scene.broker.publish(
                [message("f.b.succeeded", "1"), message("f.b.failed", "2"), message("g.c.failed", "3")],
                toTopic: scene.topic
            )
            #expect(refused.isEmpty)
            let first = try #require(try await scene.stranger.get(all))
            #expect(first.properties.deliveryMode == .persistent && first.properties.messageID == "1")
            #expect(try await scene.bodies(all) == ["2", "3"])
            #expect(try await scene.bodies(failed) == ["2", "3"])
        }
    }

    @Test("A probe finds out whether a queue is bound to its key")
    func probing() async throws {
        try await Scene.with { scene in
            #expect(try await scene.broker.probe(message("f.b.failed", "1"), to: scene.topic) == .unbound)
            let queue = try await scene.bind("f.*.failed")
            #expect(try await scene.broker.probe(message("f.b.failed", "2"), to: scene.topic) == .delivered)
            #expect(try await scene.broker.probe(message("f.b.succeeded", "3"), to: scene.topic) == .unbound)
            #expect(try await scene.bodies(queue) == ["2"])
            #expect(try await scene.broker.publish([message("f.b.succeeded", "4")], toTopic: scene.topic).isEmpty)
        }
    }

    @Test("A full queue refuses messages, and the queues beside it get them")
    func refusing() async throws {
        try await Scene.with { scene in
            let full = try await scene.bind("#", ["x-max-length": .int64(2), "x-overflow": "reject-publish"])
            let healthy = try await scene.bind("#")
            let messages = (0..<1_200).map { message("f.b.succeeded", "\($0)") }
            let refused = try await scene.broker.publish(messages, toTopic: scene.topic)
            // RabbitMQ lets some in beyond the limit.
            #expect(refused.count > 600 && refused.last == 1_199 && Set(refused).count == refused.count)
            #expect(try await scene.bodies(healthy) == (0..<1_200).map { "\($0)" })
            #expect(try await scene.broker.probe(message("f.b.succeeded", "probe"), to: scene.topic) == .refused)
            _ = try await scene.bodies(full)
            #expect(try await scene.broker.publish([message("f.b.succeeded", "x")], toTopic: scene.topic).isEmpty)
        }
    }

    @Test("Publishing to a topic that was deleted is an error that passes once it is declared again")
    func deletion() async throws {
        try await Scene.with { scene in
            try await scene.stranger.deleteExchange(scene.topic)
            let error = try await brokerError {
                _ = try await scene.broker.publish([message("f.b.failed", "1")], toTopic: scene.topic)
            }
            #expect(error.isRetryable)
            try await scene.broker.declareTopic(scene.topic)
            let queue = try await scene.bind("#")
            #expect(try await scene.broker.publish([message("f.b.failed", "2")], toTopic: scene.topic).isEmpty)
            #expect(try await scene.bodies(queue) == ["2"])
        }
    }

    @Test("A subscriber gets what matches one of its patterns, and its queue ends with it")
    func subscribing() async throws {
        try await Scene.with { scene in
            let consumer = try await scene.broker.subscribe(
                to: scene.topic,
                keys: ["f.*.failed", "g.*.finished"],
                limit: 10
            )
            let messages = [message("f.b.succeeded", "1"), message("f.b.failed", "2"), message("g.c.finished", "3")]
            _ = try await scene.broker.publish(messages, toTopic: scene.topic)
            var ids: [String] = []
            while ids.count < 2 {
                let arrived = try #require(try await within(.seconds(20)) { try await consumer.next() })
                ids += arrived.map(\.message.id)
                try await scene.broker.settle(arrived.map(\.token), as: .acknowledged)
            }
            #expect(ids == ["2", "3"])
            _ = try await consumer.cancel()
            try await retrying {
                guard try await scene.broker.probe(message("f.b.failed", "4"), to: scene.topic) == .unbound else {
                    throw BrokerError(.timedOut, "the queue is still bound")
                }
            }
        }
    }
}
