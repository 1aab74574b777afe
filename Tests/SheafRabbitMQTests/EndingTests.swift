import AMQPClient
import SheafBroker
import SheafCore
import SheafRabbitMQ
import SheafTestTools
import Testing

/// Every way in which a consumer or a reader can end while a call waits for its next delivery.
@Suite(.serialized, .timeLimit(.minutes(2))) struct EndingTests {
    private static let node = Task { try await RabbitMQNode.start() }

    /// A consumer and a reader with nothing to receive, each with a task that waits for its next delivery.
    private struct Waiting {
        let broker: RabbitMQBroker
        let queue: String
        let log: String
        let consumer: any QueueConsumer
        let reader: any LogReader
        let consuming: Task<[Delivery]?, any Error>
        let reading: Task<LogChunk?, any Error>

        init(_ url: String, deliveryLimit: Int = 3) async throws {
            var configuration = try RabbitMQConfiguration(url: url, namespace: uniqueName("ending"))
            configuration.connection.heartbeat = .seconds(1)
            let broker = try await RabbitMQBroker.connect(configuration)
            let (queue, log) = (uniqueName("queue"), uniqueName("log"))
            try await broker.declareQueue(QueueDeclaration(name: queue, kind: .work(deliveryLimit: deliveryLimit)))
            try await broker.declareLog(LogDeclaration(name: log))
            let consumer = try await broker.consume(queue, prefetch: 10)
            let reader = try await broker.read(log, from: .first)
            self.broker = broker
            self.queue = queue
            self.log = log
            self.consumer = consumer
            self.reader = reader
            self.consuming = Task { try await consumer.next() }
            self.reading = Task { try await reader.next() }
            // The broker knows both, and neither receives anything.
            let status = try await broker.queueStatus(queue)
            try #require(status?.consumers == 1)
        }

        /// Returns the codes with which both ended; a second call must end in the same way.
        func codes(sourceLocation: SourceLocation = #_sourceLocation) async throws -> [BrokerError.Code] {
            let (consumer, reader, consuming, reading) = (consumer, reader, consuming, reading)
            let first = try await brokerError(sourceLocation: sourceLocation) {
                _ = try await outcome(of: consuming)
            }
            let second = try await brokerError(sourceLocation: sourceLocation) {
                _ = try await outcome(of: reading)
            }
            let again = try await brokerError(sourceLocation: sourceLocation) {
                _ = try await within(.seconds(5)) { try await consumer.next() }
            }
            #expect(again.code == first.code, sourceLocation: sourceLocation)
            let readAgain = try await brokerError(sourceLocation: sourceLocation) {
                _ = try await within(.seconds(5)) { try await reader.next() }
            }
            #expect(readAgain.code == second.code, sourceLocation: sourceLocation)
            if first.code != .closed { #expect(first.message.contains(queue), sourceLocation: sourceLocation) }
            if second.code != .closed { #expect(second.message.contains(log), sourceLocation: sourceLocation) }
            return [first.code, second.code]
        }

        /// Receives on the same broker object again, after a retryable error.
        func goOn() async throws {
            try await retrying { try await broker.publish(Message(id: "again"), to: queue) }
            try await retrying { try await broker.append(Message(id: "again"), to: log) }
            let consumer = try await retrying { try await broker.consume(queue, prefetch: 10) }
            #expect(try await receive(consumer).message.id == "again")
            let read = try await retrying { try await entries(1, of: log, from: .first, on: broker) }
            #expect(read.map(\.message.id) == ["again"])
            await broker.close()
        }
    }

    @Test("Waiting calls end with queueGone if another connection deletes the queue and the log")
    func deletedByAnother() async throws {
        let waiting = try await Waiting(try await RabbitMQNode.shared.url)
        let other = try await connect(try await RabbitMQNode.shared)
        try await other.deleteQueue(waiting.queue)
        try await other.deleteLog(waiting.log)
        #expect(try await waiting.codes() == [.queueGone, .queueGone])
        let gone = try await brokerError { _ = try await waiting.broker.consume(waiting.queue, prefetch: 1) }
        #expect(gone.code == .notFound)
        await other.close()
        await waiting.broker.close()
    }

    /// RabbitMQ does this from 4.3 on after an acknowledgement time-out; here the test makes its channel send the
    /// message.
    @Test("A consumer cancelled by the broker ends with connectionLost if its queue exists")
    func cancelledByTheBroker() async throws {
        let node = try await Self.node.value
        let waiting = try await Waiting(node.url)
        try await node.rabbitmqctl(
            "eval",
            """
            {ok, Q} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<"\(waiting.queue)">>)),
            [rabbit_channel:send_command(element(1, C), {'basic.cancel', element(2, C), true})
             || C <- rabbit_amqqueue:consumers(Q)].
            """
        )
        let consuming = waiting.consuming
        let ended = try await brokerError { _ = try await outcome(of: consuming) }
        #expect(ended.code == .connectionLost)
        #expect(ended.isRetryable)
        #expect(ended.message.contains("but '\(waiting.queue)' exists"), "\(ended)")
        waiting.reading.cancel()
        try await waiting.goOn()
    }

    @Test("Waiting calls end with connectionLost if the broker closes the connections")
    func connectionsClosedByTheBroker() async throws {
        let node = try await Self.node.value
        let waiting = try await Waiting(node.url)
        try await node.rabbitmqctl("close_all_connections", "for a test")
        #expect(try await waiting.codes() == [.connectionLost, .connectionLost])
        try await waiting.goOn()
    }

    @Test(
        "Waiting calls end with connectionLost if the network fails",
        arguments: [FaultMode.reset, .swallow(.both), .swallow(.toBroker), .swallow(.fromBroker), .halt]
    )
    func connectionsLost(_ mode: FaultMode) async throws {
        try await FaultProxy.with(inFrontOf: try await RabbitMQNode.shared.url) { proxy, url in
            let waiting = try await Waiting(url)
            proxy.set(mode)
            #expect(try await waiting.codes() == [.connectionLost, .connectionLost])
            proxy.set(.pass)
            try await waiting.goOn()
        }
    }

    @Test("Waiting calls end with connectionLost if the channel process crashes")
    func theChannelProcessCrashes() async throws {
        let node = try await Self.node.value
        let waiting = try await Waiting(node.url)
        try await node.rabbitmqctl("eval", "[exit(P, kill) || P <- rabbit_channel:list()].")
        #expect(try await waiting.codes() == [.connectionLost, .connectionLost])
        try await waiting.goOn()
    }

    @Test("Waiting calls end if the consumer and the reader are cancelled")
    func endedHere() async throws {
        let waiting = try await Waiting(try await RabbitMQNode.shared.url)
        #expect(try await waiting.consumer.cancel().isEmpty)
        await waiting.reader.cancel()
        let (consuming, reading) = (waiting.consuming, waiting.reading)
        #expect(try await outcome(of: consuming) == nil)
        _ = try? await outcome(of: reading)
        #expect(try await waiting.reader.next() == nil)
        #expect(try await waiting.broker.queueStatus(waiting.queue)?.consumers == 0)
        try await waiting.goOn()
    }

    @Test("Waiting calls end with closed if the broker object is closed")
    func theBrokerObjectIsClosed() async throws {
        let waiting = try await Waiting(try await RabbitMQNode.shared.url)
        await waiting.broker.close()
        #expect(try await waiting.codes() == [.closed, .closed])
    }

    @Test("A cancelled task loses no message and no entry")
    func aCancelledTaskLosesNothing() async throws {
        let waiting = try await Waiting(try await RabbitMQNode.shared.url)
        let (consuming, reading) = (waiting.consuming, waiting.reading)
        consuming.cancel()
        reading.cancel()
        await #expect(throws: CancellationError.self) {
            _ = try await outcome(of: consuming)
        }
        await #expect(throws: CancellationError.self) { _ = try await outcome(of: reading) }
        try await waiting.broker.publish(Message(id: "0"), to: waiting.queue)
        #expect(try await receive(waiting.consumer).message.id == "0")
        try await waiting.broker.append(Message(id: "0"), to: waiting.log)
        let reader = waiting.reader
        #expect(try await within(.seconds(5)) { try await reader.next() }?.entries.map(\.message.id) == ["0"])
        await waiting.broker.close()
    }
}

/// Returns or throws the result of a task; cancels it and throws if it takes too long.
private func outcome<Value: Sendable>(of task: Task<Value, any Error>) async throws -> Value {
    try await within(.seconds(15)) {
        try await withTaskCancellationHandler {
            try await task.value
        } onCancel: {
            task.cancel()
        }
    }
}
