import AMQPClient
import Testing

extension BrokerTests {
    struct PublishingTests {
        @Test("A published message is delivered with all its properties")
        func allProperties() async throws {
            try await TestBroker.withQueue { channel, queue in
                let properties = AMQPProperties(
                    contentType: "text/plain",
                    contentEncoding: "utf-8",
                    headers: [
                        "text": "grüße", "number": 42, "nested": ["list": [1, true, .null]], "raw": .bytes([0, 1]),
                    ],
                    deliveryMode: .persistent,
                    priority: 3,
                    correlationID: "correlation",
                    replyTo: "reply",
                    expiration: "600000",
                    messageID: "message",
                    timestamp: 1_700_000_000,
                    type: "kind",
                    userID: channel.connection.configuration.user,
                    appID: "app"
                )
                try await channel.publish([AMQPMessage(routingKey: queue, properties: properties, body: [1, 2, 3])])
                let delivery = try #require(try await channel.get(queue))
                #expect(delivery.properties == properties)
                #expect(delivery.body == [1, 2, 3])
                #expect(delivery.routingKey == queue)
                #expect(delivery.exchange.isEmpty)
                #expect(!delivery.isRedelivered)
                #expect(delivery.epoch == channel.epoch)
                #expect(channel.delivered(delivery))
                try await channel.acknowledge([delivery.deliveryTag])
                #expect(try await channel.get(queue) == nil)
            }
        }

        @Test("Ten thousand messages are published and acknowledged in batches")
        func tenThousandMessages() async throws {
            try await TestBroker.withQueue(prefetch: 500) { channel, queue in
                let count = 10_000
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for start in stride(from: 0, to: count, by: 250) {
                        let messages = (start..<start + 250).map { number in
                            AMQPMessage(routingKey: queue, body: Array("\(number)".utf8))
                        }
                        group.addTask { try await channel.publish(messages, mandatory: true) }
                    }
                    try await group.waitForAll()
                }
                let consumer = try await channel.consume(queue)
                var seen: Set<String> = []
                while seen.count < count, let batch = try await consumer.next() {
                    for delivery in batch { seen.insert(String(decoding: delivery.body, as: UTF8.self)) }
                    try await channel.acknowledge(batch.map(\.deliveryTag))
                }
                #expect(seen == Set((0..<count).map(String.init)))
                #expect(try await consumer.cancel().isEmpty)
                #expect(try await channel.declareQueue(queue, passive: true).messageCount == 0)
            }
        }

        @Test("A mandatory message without a queue is returned")
        func mandatoryMessageReturned() async throws {
            try await TestBroker.withQueue { channel, queue in
                let messages = [queue, "nowhere", queue, "nowhere"].enumerated().map { index, key in
                    AMQPMessage(
                        routingKey: key,
                        properties: AMQPProperties(messageID: "m\(index)"),
                        body: [UInt8(index)]
                    )
                }
                async let unharmed: Void = channel.publish([messages[0], messages[2]], mandatory: true)
                let error = await errorOf { try await channel.publish(messages, mandatory: true) }
                #expect(error?.code == .returned)
                #expect(error?.replyCode == 312)
                #expect(error?.failedMessages == [1, 3])
                try await unharmed
                // Without the flag the broker confirms dropped messages; without identifiers, bodies distinguish
                // messages.
                try await channel.publish(messages)
                let plain = (0..<3).map { AMQPMessage(routingKey: $0 == 1 ? "nowhere" : queue, body: [UInt8($0)]) }
                let second = await errorOf { try await channel.publish(plain, mandatory: true) }
                #expect(second?.failedMessages == [1])
            }
        }

        @Test("Returned messages are matched to their calls")
        func returnsMatchCalls() async throws {
            try await TestBroker.withQueue { channel, queue in
                let errors = try await withThrowingTaskGroup(of: [Int]?.self) { group in
                    for call in 0..<20 {
                        group.addTask {
                            let messages = (0..<100).map { index in
                                AMQPMessage(
                                    routingKey: index == call ? "nowhere" : queue,
                                    properties: AMQPProperties(messageID: "\(call).\(index)"),
                                    body: []
                                )
                            }
                            return await errorOf { try await channel.publish(messages, mandatory: true) }
                                .map(\.failedMessages)
                        }
                    }
                    return try await group.reduce(into: Set()) { $0.insert($1) }
                }
                #expect(errors == Set((0..<20).map { [$0] }))
            }
        }

        @Test("A full queue that rejects publishing causes a nack")
        func fullQueueNacks() async throws {
            let arguments: AMQPTable = ["x-max-length": 1, "x-overflow": "reject-publish"]
            try await TestBroker.withQueue(arguments: arguments) { channel, queue in
                let messages = (0..<5).map { AMQPMessage(routingKey: queue, body: [UInt8($0)]) }
                let error = await errorOf { try await channel.publish(messages) }
                #expect(error?.code == .nacked)
                #expect(error?.failedMessages.last == 4)
                #expect(error?.isRetryable == true)
            }
        }

        @Test("A missing exchange fails only the call and its channel")
        func missingExchange() async throws {
            try await TestBroker.withQueue { channel, queue in
                let other = try await channel.connection.openChannel()
                try await other.enableConfirms()
                let message = AMQPMessage(exchange: "no such exchange", routingKey: queue, body: [1])
                let error = await errorOf { try await other.publish([message]) }
                #expect(error?.code == .channelClosed)
                #expect(error?.replyCode == 404)
                try await channel.publish([AMQPMessage(routingKey: queue, body: [1])])
            }
        }

        @Test("Publishing requires confirms to be enabled")
        func confirmsRequired() async throws {
            try await TestBroker.withConnection { connection in
                let channel = try await connection.openChannel()
                let error = await errorOf { try await channel.publish([AMQPMessage(routingKey: "x", body: [])]) }
                #expect(error?.code == .invalidArgument)
            }
        }

        @Test("Publishing to an exchange reaches its bindings")
        func exchangeBindings() async throws {
            try await TestBroker.withQueue { channel, queue in
                let exchange = TestBroker.uniqueName("exchange")
                try await channel.declareExchange(exchange, type: "topic", durable: false)
                try await channel.bindQueue(queue, to: exchange, routingKey: "a.*")
                let messages = ["a.b", "a.c", "b.c"].map { AMQPMessage(exchange: exchange, routingKey: $0, body: []) }
                try await channel.publish(messages)
                #expect(try await channel.declareQueue(queue, passive: true).messageCount == 2)
                try await channel.unbindQueue(queue, from: exchange, routingKey: "a.*")
                try await channel.publish(messages)
                #expect(try await channel.purgeQueue(queue) == 2)
                try await channel.deleteExchange(exchange)
            }
        }

        @Test("A cancelled publish call ends at once")
        func cancelledPublish() async throws {
            try await TestBroker.withQueue { channel, queue in
                let messages = Array(repeating: AMQPMessage(routingKey: queue, body: [1]), count: 20_000)
                let task = Task { await errorOf { try await channel.publish(messages) } }
                task.cancel()
                let error = await task.value
                #expect(error?.code == .cancelled)
                try await channel.publish([AMQPMessage(routingKey: queue, body: [2])], mandatory: true)
            }
        }
    }
}
