import AMQPClient
import SheafBroker

/// Converts the declarations of the broker layer to arguments of RabbitMQ.
enum QueueArguments {
    /// The maximum length of a name in bytes; a stream with a longer name hangs the broker.
    static let maximumNameBytes = 233

    /// Throws `invalidArgument` unless the name is valid for a queue, log or lock.
    static func check(name: String) throws {
        guard !name.isEmpty else { throw BrokerError(.invalidArgument, "the name is empty") }
        guard name.utf8.count <= maximumNameBytes else {
            throw BrokerError(
                .invalidArgument,
                "the name '\(name.prefix(40))…' has \(name.utf8.count) bytes; the maximum is \(maximumNameBytes)"
            )
        }
    }

    /// Returns the arguments of a queue.
    ///
    /// Work is kept in a quorum queue. Tokens and waiting rooms are classic queues, because a quorum queue loses tokens
    /// at its delivery limit.
    static func table(for declaration: QueueDeclaration) throws -> AMQPTable {
        switch declaration.kind {
        case .work(let limit, let deadLetter, _):
            guard limit >= 0 else { throw BrokerError(.invalidArgument, "a delivery limit of \(limit) is negative") }
            var table: AMQPTable = ["x-queue-type": "quorum", "x-delivery-limit": .int64(Int64(limit))]
            setTarget(deadLetter, &table)
            if deadLetter != nil { makeDeadLetteringSafe(&table) }
            return table
        case .tokens(let deadLetter):
            var table: AMQPTable = ["x-queue-type": "classic"]
            setTarget(deadLetter, &table)
            return table
        case .waitingRoom(let lifetime, let queue):
            guard lifetime >= .zero else {
                throw BrokerError(.invalidArgument, "a lifetime of \(lifetime) is negative")
            }
            var table: AMQPTable = ["x-queue-type": "classic"]
            table["x-message-ttl"] = .int64(Int64(lifetime / .milliseconds(1)))
            setTarget(.queue(queue), &table)
            return table
        }
    }

    private static func setTarget(_ target: QueueDeclaration.DeadLetterTarget?, _ table: inout AMQPTable) {
        switch target {
        case nil: break
        case .queue(let name), .log(let name):
            table["x-dead-letter-exchange"] = ""
            table["x-dead-letter-routing-key"] = .string(name)
        }
    }

    /// Returns the arguments of a log, bounded so that its newest entry is never trimmed.
    ///
    /// RabbitMQ trims the newest entry if an entry, or a burst of them, is as large as the bound. So a segment has room
    /// for at least four entries of 1 MiB, and the bound is at least five segments, which may exceed the requested
    /// size.
    static func table(for declaration: LogDeclaration) -> AMQPTable {
        var table: AMQPTable = ["x-queue-type": "stream"]
        if let maximum = declaration.maximumBytes {
            let segment = max(maximum / 5, 4 << 20)
            table["x-max-length-bytes"] = .int64(Int64(segment) * 5)
            table["x-stream-max-segment-size-bytes"] = .int64(Int64(min(segment, 500_000_000)))
        }
        return table
    }

    /// Returns the arguments of a delay queue, which has no consumers and whose messages all expire.
    static func table(delay milliseconds: Int64, target: String) -> AMQPTable {
        var table: AMQPTable = [
            "x-queue-type": "quorum", "x-message-ttl": .int64(milliseconds), "x-dead-letter-exchange": .string(target),
        ]
        makeDeadLetteringSafe(&table)
        return table
    }

    /// Without these two a message leaves its queue before it is confirmed at its target.
    private static func makeDeadLetteringSafe(_ table: inout AMQPTable) {
        table["x-dead-letter-strategy"] = "at-least-once"
        table["x-overflow"] = "reject-publish"
    }
}
