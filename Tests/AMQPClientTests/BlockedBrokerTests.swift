import AMQPClient
import SheafTestTools
import Testing

extension BrokerTests {
    struct BlockedBrokerTests {
        private static let node = Task { try await RabbitMQNode.start() }

        /// A broker short of memory stops reading: publishing fails in time, and everything else continues beyond
        /// heartbeats.
        @Test("A broker short of memory blocks only publishing")
        func memoryAlarmBlocksPublishing() async throws {
            let node = try await Self.node.value
            var configuration = try AMQPConfiguration(url: node.url, connectionName: "AMQPClientTests")
            configuration.heartbeat = .seconds(1)
            try await TestBroker.withQueue({ [configuration] in $0 = configuration }) { consuming, queue in
                var configuration = consuming.connection.configuration
                configuration.publishTimeout = .seconds(2)
                configuration.rpcTimeout = .seconds(1)
                let publisher = try await AMQPConnection.connect(configuration)
                let channel = try await publisher.openChannel()
                try await channel.enableConfirms()
                let consumer = try await consuming.consume(queue)
                let large = AMQPMessage(routingKey: queue, body: Array(repeating: 1, count: 1 << 20))
                try await channel.publish([large])
                let first = try await consumer.collect(1)

                try await node.rabbitmqctl("set_vm_memory_high_watermark", "0.0000001")
                let result = await Result {
                    for _ in 1...2 {
                        let start = ContinuousClock.now
                        let error = await errorOf {
                            try await channel.publish(Array(repeating: large, count: 20))
                        }
                        #expect(error?.code == .blocked)
                        #expect(.now - start < .seconds(10))
                    }
                    #expect(await publisher.isBlocked)
                    #expect(await publisher.blockedReason?.isEmpty == false)
                    // The broker does not even read this; its late answer must have no effect.
                    let late = await errorOf { try await channel.declareQueue(queue, passive: true) }
                    #expect(late?.code == .blocked)
                    try await consuming.acknowledge(first.map(\.deliveryTag))
                    #expect(try await consuming.declareQueue(queue, passive: true).consumerCount == 1)
                }
                try await node.rabbitmqctl("set_vm_memory_high_watermark", "0.4")
                try result.get()

                try await within(.seconds(10)) {
                    while await errorOf({ try await channel.publish([AMQPMessage(routingKey: queue, body: [2])]) })
                        != nil
                    {}
                }
                #expect(await publisher.isOpen)
                #expect(try await channel.declareQueue(queue, passive: true).name == queue)
                var last: [UInt8] = []
                while last != [2], let batch = try await consumer.next() {
                    last = batch.last?.body ?? []
                    try await consuming.acknowledge(batch.map(\.deliveryTag))
                }
                await publisher.close()
            }
        }

        @Test("Closing a blocked connection ends within the time limit")
        func closingBlockedConnection() async throws {
            let node = try await Self.node.value
            var configuration = try AMQPConfiguration(url: node.url, connectionName: "AMQPClientTests")
            configuration.closeTimeout = .seconds(1)
            try await TestBroker.withQueue({ [configuration] in $0 = configuration }) { channel, queue in
                var configuration = channel.connection.configuration
                configuration.publishTimeout = .seconds(1)
                let publisher = try await AMQPConnection.connect(configuration)
                let blocked = try await publisher.openChannel()
                try await blocked.enableConfirms()
                try await node.rabbitmqctl("set_vm_memory_high_watermark", "0.0000001")
                let large = AMQPMessage(routingKey: queue, body: Array(repeating: 1, count: 1 << 20))
                let error = await errorOf { try await blocked.publish(Array(repeating: large, count: 40)) }
                let start = ContinuousClock.now
                await publisher.close()
                let duration = ContinuousClock.now - start
                try await node.rabbitmqctl("set_vm_memory_high_watermark", "0.4")
                #expect(error?.code == .blocked)
                #expect(duration < .seconds(3))
            }
        }
    }
}

extension Result where Failure == any Error, Success == Void {
    fileprivate init(_ body: () async throws -> Void) async {
        do { self = .success(try await body()) } catch { self = .failure(error) }
    }
}
