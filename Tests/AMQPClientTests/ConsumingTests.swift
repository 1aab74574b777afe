import AMQPClient
import Testing

extension BrokerTests {
    struct ConsumingTests {
        private func fill(_ channel: AMQPChannel, _ queue: String, _ count: Int) async throws {
            try await channel.publish((0..<count).map { AMQPMessage(routingKey: queue, body: [UInt8($0)]) })
        }

        @Test("Unsettled deliveries return to the queue when the channel closes")
        func unsettledDeliveriesReturn() async throws {
            try await TestBroker.withQueue { channel, queue in
                try await fill(channel, queue, 4)
                let other = try await channel.connection.openChannel()
                try await other.setPrefetch(10)
                let deliveries = try await other.consume(queue).collect(4)
                try await other.acknowledge([deliveries[1].deliveryTag])
                try await other.reject([deliveries[2].deliveryTag], requeue: false)
                try await other.close()
                let again = try await channel.consume(queue).collect(2)
                #expect(again.map(\.body) == [[0], [3]])
                #expect(again.allSatisfy { $0.isRedelivered })
                try await channel.nack(again.map(\.deliveryTag), requeue: true)
                try await channel.acknowledge([])
            }
        }

        @Test("Rejecting several deliveries does not affect the others")
        func rejectingSeveral() async throws {
            try await TestBroker.withQueue { channel, queue in
                try await fill(channel, queue, 6)
                let consumer = try await channel.consume(queue)
                let tags = try await consumer.collect(6).map(\.deliveryTag)
                let wrong = await errorOf { try await channel.reject([tags[0], tags[1], 77], requeue: false) }
                #expect(wrong?.code == .invalidArgument)
                try await channel.reject([tags[0], tags[2], tags[4]], requeue: false)
                try await channel.reject([tags[3], tags[5]], requeue: true)
                let again = try await consumer.collect(2)
                #expect(Set(again.map(\.body)) == [[3], [5]])
                try await channel.acknowledge([tags[1]] + again.map(\.deliveryTag))
                try await channel.reject([], requeue: true)
                #expect(try await channel.declareQueue(queue, passive: true).messageCount == 0)
            }
        }

        @Test("The prefetch limits the number of unsettled deliveries")
        func prefetchLimit() async throws {
            try await TestBroker.withQueue(prefetch: 3) { channel, queue in
                try await fill(channel, queue, 10)
                let consumer = try await channel.consume(queue)
                let deliveries = try await consumer.collect(3)
                #expect(deliveries.count == 3)
                // The answer to a passive declare arrives after everything that the broker sent earlier.
                #expect(try await channel.declareQueue(queue, passive: true).messageCount == 7)
                try await channel.acknowledge(upTo: deliveries[2].deliveryTag)
                #expect(try await consumer.collect(3).map(\.body) == [[3], [4], [5]])
            }
        }

        @Test("A wrong tag is an error here and is not sent to the broker")
        func wrongTag() async throws {
            try await TestBroker.withQueue { channel, queue in
                try await fill(channel, queue, 2)
                let deliveries = try await channel.consume(queue).collect(2)
                let tag = deliveries[0].deliveryTag
                try await channel.acknowledge([tag])
                for wrong in [[tag], [tag + 1, tag + 1], [77]] {
                    #expect(await errorOf { try await channel.acknowledge(wrong) }?.code == .invalidArgument)
                }
                try await channel.acknowledge([tag + 1])
            }
        }

        @Test("Cancelling a consumer returns its buffered deliveries")
        func cancelReturnsBuffer() async throws {
            try await TestBroker.withQueue { channel, queue in
                let consumer = try await channel.consume(queue)
                try await fill(channel, queue, 5)
                let rest = try await consumer.cancel()
                #expect(try await consumer.next() == nil)
                let ready = try await channel.declareQueue(queue, passive: true).messageCount
                #expect(rest.count + ready == 5)
                try await channel.nack(rest.map(\.deliveryTag), requeue: true)
                #expect(try await channel.declareQueue(queue, passive: true).consumerCount == 0)
            }
        }

        @Test("A cancelled task stops waiting and loses no delivery")
        func cancelledNext() async throws {
            try await TestBroker.withQueue { channel, queue in
                let consumer = try await channel.consume(queue)
                let waiting = Task { await errorOf { _ = try await consumer.next() } }
                waiting.cancel()
                #expect(await waiting.value?.code == .cancelled)
                try await fill(channel, queue, 1)
                #expect(try await consumer.collect(1).map(\.body) == [[0]])
            }
        }

        @Test("Deleting a queue ends its consumer")
        func deletedQueue() async throws {
            try await TestBroker.withQueue { channel, queue in
                let consumer = try await channel.consume(queue)
                let other = try await channel.connection.openChannel()
                try await other.deleteQueue(queue)
                let error = await errorOf { _ = try await consumer.next() }
                #expect(error?.code == .consumerCancelled)
                try await channel.declareQueue(queue)
            }
        }

        @Test("Consuming requires a prefetch and an unused tag")
        func consumingRequirements() async throws {
            try await TestBroker.withQueue { channel, queue in
                let other = try await channel.connection.openChannel()
                #expect(await errorOf { _ = try await other.consume(queue) }?.code == .invalidArgument)
                #expect(await errorOf { try await other.setPrefetch(0) }?.code == .invalidArgument)
                _ = try await channel.consume(queue, tag: "mine")
                #expect(await errorOf { _ = try await channel.consume(queue, tag: "mine") }?.code == .invalidArgument)
            }
        }

        @Test("An exclusive consumer excludes others")
        func exclusiveConsumer() async throws {
            try await TestBroker.withQueue { channel, queue in
                _ = try await channel.consume(queue, exclusive: true)
                let other = try await channel.connection.openChannel()
                try await other.setPrefetch(1)
                let error = await errorOf { _ = try await other.consume(queue) }
                #expect(error?.replyCode == 403)
                #expect(await errorOf { try await other.setPrefetch(1) }?.code == .channelClosed)
            }
        }

        @Test("A stream is read from an offset")
        func streamOffset() async throws {
            try await TestBroker.withQueue(arguments: ["x-queue-type": "stream"]) { channel, queue in
                try await fill(channel, queue, 20)
                let consumer = try await channel.consume(queue, arguments: ["x-stream-offset": 15])
                let deliveries = try await consumer.collect(5)
                #expect(deliveries.map(\.body) == (15..<20).map { [UInt8($0)] })
                #expect(deliveries.map { $0.headers["x-stream-offset"]?.integer } == [15, 16, 17, 18, 19])
                try await channel.acknowledge(deliveries.map(\.deliveryTag))
                _ = try await consumer.cancel()
            }
        }
    }
}
