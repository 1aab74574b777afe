import AMQPClient
import Testing

extension BrokerTests {
    struct ChannelErrorTests {
        @Test("A missing queue closes the channel but not the connection")
        func missingQueue() async throws {
            try await TestBroker.withConnection { connection in
                let channel = try await connection.openChannel()
                let missing = TestBroker.uniqueName("missing")
                let error = await errorOf { try await channel.declareQueue(missing, passive: true) }
                #expect(error?.code == .channelClosed)
                #expect(error?.replyCode == 404)
                #expect(error?.message.contains(missing) == true)
                let later = await errorOf { try await channel.purgeQueue(missing) }
                #expect(later?.code == .channelClosed)
                #expect(later?.replyCode == 404)
                try await channel.close()
                // The number is reused, and the old handle must not reach the new channel.
                let next = try await connection.openChannel()
                #expect(next.number == channel.number)
                #expect(await errorOf { try await channel.purgeQueue(missing) }?.code == .channelClosed)
                #expect(try await next.deleteQueue(missing) == 0)
                #expect(await connection.isOpen)
            }
        }

        @Test("Redeclaring a queue with other arguments fails with 406")
        func redeclaration() async throws {
            try await TestBroker.withQueue { channel, queue in
                let other = try await channel.connection.openChannel()
                let error = await errorOf { try await other.declareQueue(queue, durable: false) }
                #expect(error?.replyCode == 406)
                #expect(try await channel.declareQueue(queue).name == queue)
            }
        }

        @Test("All calls on a closed channel fail")
        func callsOnClosedChannel() async throws {
            try await TestBroker.withQueue { channel, queue in
                let other = try await channel.connection.openChannel()
                try await other.setPrefetch(1)
                let consumer = try await other.consume(queue)
                let errors = await withTaskGroup(of: AMQPError?.self) { group in
                    group.addTask { await errorOf { _ = try await consumer.next() } }
                    for _ in 0..<5 {
                        group.addTask { await errorOf { try await other.declareQueue("no such queue", passive: true) } }
                    }
                    return await group.reduce(into: []) { $0.append($1) }
                }
                #expect(errors.count == 6)
                #expect(errors.allSatisfy { $0?.code == .channelClosed && $0?.replyCode == 404 })
            }
        }

        @Test("An exclusive queue is locked for other connections until its connection ends")
        func exclusiveQueue() async throws {
            try await TestBroker.withConnection { connection in
                let queue = TestBroker.uniqueName("lock")
                let owner = try await AMQPConnection.connect(connection.configuration)
                try await owner.openChannel().declareQueue(queue, durable: false, exclusive: true)
                let channel = try await connection.openChannel()
                let error = await errorOf { try await channel.declareQueue(queue, passive: true) }
                #expect(error?.replyCode == 405)
                await owner.close()
                let last = try await connection.openChannel()
                #expect(await errorOf { try await last.declareQueue(queue, passive: true) }?.replyCode == 404)
            }
        }

        @Test("The broker chooses the name of a queue declared without one")
        func generatedQueueName() async throws {
            try await TestBroker.withConnection { connection in
                let channel = try await connection.openChannel()
                let status = try await channel.declareQueue("", durable: false, exclusive: true)
                #expect(status.name.hasPrefix("amq.gen"))
                #expect(status.messageCount == 0)
            }
        }

        @Test("Hundreds of channels open and close")
        func manyChannels() async throws {
            try await TestBroker.withConnection { connection in
                let channels = try await withThrowingTaskGroup(of: AMQPChannel.self) { group in
                    for _ in 0..<300 { group.addTask { try await connection.openChannel() } }
                    return try await group.reduce(into: []) { $0.append($1) }
                }
                #expect(Set(channels.map(\.number)).count == 300)
                for channel in channels { try await channel.close() }
                #expect(try await connection.openChannel().number == 1)
            }
        }
    }
}
