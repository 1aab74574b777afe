import AMQPClient
import SheafBroker

/// What the declarations of the broker layer are in RabbitMQ's arguments.
enum QueueArguments {
    /// The longest name; a stream with a longer one hangs the broker.
    static let maximumNameBytes = 233

    /// Throws unless the name can be a queue's, a log's or a lock's.
    static func check(name: String) throws {
        guard !name.isEmpty else { throw BrokerError(.invalidArgument, "a name is empty") }
        guard name.utf8.count <= maximumNameBytes else {
            throw BrokerError(
                .invalidArgument,
                "the name '\(name.prefix(40))…' has \(name.utf8.count) bytes; \(maximumNameBytes) are allowed"
            )
        }
    }

    /// A queue of work is a quorum queue; one of tokens a classic queue, since a quorum queue loses them at its limit.
    static func table(for declaration: QueueDeclaration) -> AMQPTable {
        var table: AMQPTable
        if let limit = declaration.deliveryLimit {
            table = ["x-queue-type": "quorum", "x-delivery-limit": .int64(Int64(limit))]
        } else {
            table = ["x-queue-type": "classic"]
        }
        if let lifetime = declaration.lifetime { table["x-message-ttl"] = .int64(Int64(lifetime / .milliseconds(1))) }
        switch declaration.deadLetter {
        case nil:
            return table
        case .queue(let target), .log(let target):
            table["x-dead-letter-exchange"] = ""
            table["x-dead-letter-routing-key"] = .string(target)
        }
        if declaration.deliveryLimit != nil { makeDeadLetteringSafe(&table) }
        return table
    }

    /// Bounds a log so that its newest entry is never trimmed.
    ///
    /// That happens when an entry, or a burst of them, is as large as the bound. So segments hold four entries of 1 MiB
    /// at least, and the bound is five segments at least, which may be more than was asked for.
    static func table(for declaration: LogDeclaration) -> AMQPTable {
        var table: AMQPTable = ["x-queue-type": "stream"]
        if let maximum = declaration.maximumBytes {
            let segment = max(maximum / 5, 4 << 20)
            table["x-max-length-bytes"] = .int64(Int64(segment) * 5)
            table["x-stream-max-segment-size-bytes"] = .int64(Int64(min(segment, 500_000_000)))
        }
        return table
    }

    /// The queue of one delay: nobody consumes it, everything in it expires.
    static func table(delay milliseconds: Int64, target: String) -> AMQPTable {
        var table: AMQPTable = [
            "x-queue-type": "quorum", "x-message-ttl": .int64(milliseconds), "x-dead-letter-exchange": .string(target),
        ]
        makeDeadLetteringSafe(&table)
        return table
    }

    /// Without these two a message is gone from its queue before it is confirmed at its next place.
    private static func makeDeadLetteringSafe(_ table: inout AMQPTable) {
        table["x-dead-letter-strategy"] = "at-least-once"
        table["x-overflow"] = "reject-publish"
    }
}
