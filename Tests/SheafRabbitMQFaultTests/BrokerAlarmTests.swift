import SheafBroker
import SheafCore
import SheafRabbitMQ
import SheafTestTools
import Testing

/// A broker that is short of memory or disk space for longer than two heartbeats.
@Suite(.serialized) struct BrokerAlarmTests {
    private static let node = Task { try await RabbitMQNode.start() }

    @Test(
        "During an alarm publishing is blocked and everything else continues",
        .timeLimit(.minutes(2)),
        arguments: BrokerAlarm.all
    )
    func alarm(_ alarm: BrokerAlarm) async throws {
        let node = try await Self.node.value
        try await FaultProxy.with(inFrontOf: node.url) { proxy, url in
            let broker = try await impatientBroker(url)
            try await BrokerExercise.run(on: broker) { exercise in
                let queue = "alarm-\(alarm.description)"
                try await broker.declareQueue(
                    QueueDeclaration(name: queue, kind: .work(deliveryLimit: 3, acceptsDelayed: true))
                )
                try await broker.publish((0..<3).map { Message(id: String($0)) }, to: queue)
                let consumer = try await broker.consume(queue, prefetch: 1)
                let first = try #require(try await within(.seconds(10)) { try await consumer.next() })
                try await exercise.progress()
                let connections = proxy.acceptedConnections

                try await node.rabbitmqctl(alarm.set)
                let start = ContinuousClock.now
                // The broker accepts the first message after the alarm and only then stops reading.
                try await eventually("publishing and appending are blocked") {
                    let errors = exercise.firstErrors(since: start)
                    return errors[.publishing]?.error.code == .blocked && errors[.appending]?.error.code == .blocked
                }
                let blocked = try #require(exercise.firstErrors(since: start)[.publishing])
                #expect(blocked.error.message.contains("takes no messages for now"))
                // Also a publish that first needs a channel, and the end of a log, which needs a mark.
                let later = try await brokerError {
                    try await broker.publish(Message(id: "later"), to: queue, after: .milliseconds(100))
                }
                #expect(later.0.code == .blocked)
                #expect(later.after < .seconds(7))
                let end = try await brokerError { _ = try await broker.endOffset(of: exercise.logName) }
                #expect(end.0.code == .blocked)
                #expect(end.after < .seconds(7))
                // Consuming, settling, declaring, querying and locking continue.
                try await broker.settle(first, as: .acknowledged)
                let second = try #require(try await within(.seconds(10)) { try await consumer.next() })
                #expect(second.map(\.message.id) == ["1"])
                try await exercise.progress(of: [.declaring, .locking])
                // Longer than two heartbeats.
                try await Task.sleep(until: start + .seconds(12), clock: .continuous)
                let errors = exercise.firstErrors(since: start)
                #expect(Set(errors.keys) == [.publishing, .appending])
                let longest = try #require(
                    exercise.longestCall(since: start, of: [.publishing, .appending, .declaring])
                )
                #expect(longest.1 < .seconds(5))
                #expect(proxy.acceptedConnections == connections)
                #expect(proxy.openConnections == 3)

                try await node.rabbitmqctl(alarm.clear)
                let cleared = ContinuousClock.now
                let again = try await exercise.progress(since: cleared)
                #expect(proxy.acceptedConnections == connections)
                try await broker.settle(second, as: .acknowledged)
                print(
                    "| \(alarm.description) alarm of 12 s | publish time-out 3 s | publishing threw 'blocked' after "
                        + "\(blocked.after.rounded), a first delayed publish after \(later.after.rounded), "
                        + "finding the end of a log after \(end.after.rounded); no connection was lost; "
                        + "\(again.map { "\($0.key.rawValue) \($0.value.rounded)" }.sorted().joined(separator: ", ")) "
                        + "after it was cleared |"
                )
            }
            await broker.close()
        }
    }
}
