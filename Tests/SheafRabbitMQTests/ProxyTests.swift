import AMQPClient
import SheafBroker
import SheafCore
import SheafRabbitMQ
import SheafTestTools
import Testing

/// Short network faults between this process and the broker; SheafRabbitMQFaultTests covers the long ones.
@Suite(.timeLimit(.minutes(2))) struct ProxyTests {
    @Test("Every activity continues after connections were reset")
    func reset() async throws {
        try await FaultProxy.with(inFrontOf: try await RabbitMQNode.shared.url) { proxy, url in
            let broker = try await RabbitMQBroker.connect(RabbitMQConfiguration(url: url))
            try await BrokerExercise.run(on: broker) { exercise in
                for _ in 0..<5 {
                    try await exercise.progress()
                    let connections = proxy.acceptedConnections
                    let start = ContinuousClock.now
                    proxy.resetConnections()
                    try await exercise.progress(since: start)
                    #expect(proxy.acceptedConnections >= connections + 3)
                    let ended = try await within(.seconds(10)) {
                        while true {
                            if let ended = exercise.firstErrors(since: start)[.consuming] { return ended.error.code }
                            try await Task.sleep(for: .milliseconds(5))
                        }
                    }
                    #expect(ended == .connectionLost)
                }
            }
            await broker.close()
        }
    }

    /// Tags restart at 1 on each connection: those of the old connection must not settle new deliveries.
    @Test("A delivery of a lost connection settles nothing")
    func staleDeliveries() async throws {
        try await FaultProxy.with(inFrontOf: try await RabbitMQNode.shared.url) { proxy, url in
            let broker = try await RabbitMQBroker.connect(RabbitMQConfiguration(url: url))
            let queue = uniqueName("queue")
            try await broker.declareQueue(QueueDeclaration(name: queue, kind: .work(deliveryLimit: 5)))
            try await broker.publish((0..<3).map { Message(id: String($0)) }, to: queue)
            let old = try await receiveThree(try await broker.consume(queue, prefetch: 3))
            let taken = try await broker.get(queue)
            #expect(taken == nil)
            proxy.resetConnections()
            let consumer = try await retrying { try await broker.consume(queue, prefetch: 3) }
            let new = try await receiveThree(consumer)
            #expect(Set(new.map(\.token.tag)) == Set(old.map(\.token.tag)))
            #expect(new.allSatisfy { $0.earlierDeliveries == 1 })
            for settlement in [Settlement.acknowledged, .rejected, .returned] {
                try await broker.settle(old, as: settlement)
            }
            #expect(try await consumer.cancel().isEmpty)
            try await broker.settle(new, as: .returned)
            let again = try await receiveThree(try await broker.consume(queue, prefetch: 3))
            #expect(again.map(\.message.id).sorted() == ["0", "1", "2"])
            #expect(again.allSatisfy { $0.earlierDeliveries == 2 })
            try await broker.settle(again, as: .acknowledged)
            try await broker.deleteQueue(queue)
            await broker.close()
        }
    }

    /// The broker accepts connections and sends nothing, or only a part, or refuses them.
    @Test(
        "A broker that does not complete the login is reported as unreachable in time",
        arguments: [
            FaultMode.swallow(.both), .swallow(.fromBroker), .halt, .refuse, .reset, .cut(after: 3, .toBroker),
            .cut(after: 200, .fromBroker),
        ]
    )
    func incompleteLogin(_ mode: FaultMode) async throws {
        try await FaultProxy.with(inFrontOf: try await RabbitMQNode.shared.url) { proxy, url in
            var configuration = try RabbitMQConfiguration(url: url)
            configuration.connection.connectTimeout = .seconds(1)
            configuration.connection.handshakeTimeout = .seconds(1)
            proxy.set(mode)
            let start = ContinuousClock.now
            let error = try await brokerError { [configuration] in
                _ = try await RabbitMQBroker.connect(configuration)
            }
            #expect(.now - start < .seconds(4))
            #expect(error.code == .unreachable)
            #expect(error.isRetryable)
            #expect(error.message.contains("127.0.0.1:\(proxy.port)"), "\(error)")
            #expect(!error.message.contains("guest"), "\(error)")
            proxy.set(.pass)
            let broker = try await RabbitMQBroker.connect(configuration)
            #expect(try await broker.queueStatus(uniqueName("none")) == nil)
            await broker.close()
        }
    }

    /// Locks of lost connections and released ones are not kept.
    @Test("A lock can be acquired again after each lost connection")
    func lockAfterLoss() async throws {
        try await FaultProxy.with(inFrontOf: try await RabbitMQNode.shared.url) { proxy, url in
            let broker = try await RabbitMQBroker.connect(RabbitMQConfiguration(url: url))
            let name = uniqueName("lock")
            for _ in 0..<3 {
                let lock = try await within(.seconds(20)) {
                    while true {
                        if let lock = try await retrying({ try await broker.acquireLock(name) }) { return lock }
                        try await Task.sleep(for: .milliseconds(10))
                    }
                }
                #expect(await lock.isHeld)
                proxy.resetConnections()
                try await within(.seconds(10)) {
                    while await lock.isHeld { try await Task.sleep(for: .milliseconds(5)) }
                }
                await lock.release()
            }
            await broker.close()
        }
    }

    private func receiveThree(_ consumer: any QueueConsumer) async throws -> [Delivery] {
        try await within(.seconds(20)) {
            var deliveries: [Delivery] = []
            while deliveries.count < 3, let more = try await consumer.next() { deliveries += more }
            return deliveries
        }
    }
}
