import AMQPClient
import Glibc
import SheafBroker
import SheafCore

/// Reads a stream through a consumer, whose acknowledgements only permit the broker to send more.
actor RabbitMQLogReader: LogReader {
    /// The number of entries in flight or buffered; most have at most a quarter of a megabyte.
    private static let prefetch: UInt16 = 64

    /// The state of the search for the newest entry if only marks follow it.
    private struct NewestSearch {
        /// The offset at which the last step began, or nil before the first.
        var begin: Int64?
        /// The number of offsets that the next step goes back.
        var distance: Int64 = 64
        /// The offset after the marks at the end of the log.
        var end: Int64 = 0
    }

    private let log: String
    private let broker: RabbitMQBroker
    private var consumer: AMQPConsumer
    /// Entries below this are skipped: the broker begins with a whole chunk, and stepping back passes entries again.
    private var floor: Int64
    /// A chunk to return before anything is read.
    private var opening: LogChunk?
    private var search: NewestSearch?
    private var isCancelled = false

    private init(_ log: String, broker: RabbitMQBroker, consumer: AMQPConsumer, floor: Int64) {
        self.log = log
        self.broker = broker
        self.consumer = consumer
        self.floor = floor
    }

    static func open(
        _ log: String,
        from position: LogPosition,
        broker: RabbitMQBroker
    ) async throws -> RabbitMQLogReader {
        func reader(_ place: StreamPosition, floor: Int64 = 0) async throws -> RabbitMQLogReader {
            let consumer = try await broker.consuming.readStream(log, from: place, prefetch: prefetch)
            return RabbitMQLogReader(log, broker: broker, consumer: consumer, floor: floor)
        }
        switch position {
        case .first: return try await reader(.first)
        case .offset(let offset): return try await reader(.offset(max(offset, 0)), floor: max(offset, 0))
        case .since(let age):
            return try await reader(.timestamp(UInt64(max(0, Self.secondsSince1970() - age.components.seconds))))
        case .last:
            let reader = try await reader(.last)
            await reader.findNewest()
            return reader
        case .next:
            // By offset, so that a reader that loses its connection before the first entry misses nothing.
            guard let end = try await broker.endOffset(of: log) else {
                throw BrokerError(.notFound, "log '\(log)' does not exist")
            }
            let reader = try await reader(.offset(end), floor: end)
            await reader.begin(with: LogChunk(entries: [], nextOffset: end))
            return reader
        }
    }

    private static func secondsSince1970() -> Int64 {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        return Int64(now.tv_sec)
    }

    func next() async throws -> LogChunk? {
        do {
            while !isCancelled {
                if let opening {
                    self.opening = nil
                    return opening
                }
                guard let arrived = try await consumer.next(), let last = arrived.last else { return nil }
                try await consumer.channel.acknowledge(upTo: last.deliveryTag)
                let chunk = chunk(of: arrived)
                guard chunk.nextOffset > floor else { continue }
                if try await stepsBack(from: chunk, startingAt: arrived.first?.streamOffset ?? 0) { continue }
                floor = chunk.nextOffset
                return chunk
            }
            return nil
        } catch let error as AMQPError {
            if isCancelled { return nil }
            switch error.code {
            case .cancelled: break
            case .consumerCancelled: await consumer.channel.abandon()
            default: if error.isConnectionGone { await broker.consuming.forget(consumer.channel.connection) }
            }
            throw await broker.ending(error, of: log, "reading log '\(log)'")
        }
    }

    func cancel() async {
        guard !isCancelled else { return }
        isCancelled = true
        _ = try? await consumer.cancel()
        await consumer.channel.abandon()
    }

    private func findNewest() { search = NewestSearch() }

    private func begin(with chunk: LogChunk) { opening = chunk }

    private func chunk(of arrived: [AMQPDelivery]) -> LogChunk {
        var entries: [LogEntry] = []
        entries.reserveCapacity(arrived.count)
        var next = floor
        var start: Int64?
        for delivery in arrived {
            guard let offset = delivery.streamOffset, offset >= floor else { continue }
            next = offset + 1
            if start == nil { start = offset }
            if delivery.properties.type == Message.markType { continue }
            entries.append(LogEntry(offset: offset, message: broker.headers.entry(delivery)))
        }
        return LogChunk(entries: entries, nextOffset: next, startOffset: start)
    }

    /// Returns whether it went back: if a log ends with marks only, the newest entry is searched before them, in
    /// growing steps.
    private func stepsBack(from chunk: LogChunk, startingAt start: Int64) async throws -> Bool {
        guard var search else { return false }
        guard chunk.entries.isEmpty else {
            self.search = nil
            return false
        }
        if chunk.nextOffset < search.end {
            // The marks that were seen first are not reached yet.
            floor = chunk.nextOffset
            return true
        }
        let begin = search.begin ?? start
        guard begin > 0 else {
            self.search = nil
            return false
        }
        floor = max(0, begin - search.distance)
        search.begin = floor
        search.distance *= 8
        search.end = chunk.nextOffset
        self.search = search
        await consumer.channel.abandon()
        consumer = try await broker.consuming.readStream(log, from: .offset(floor), prefetch: Self.prefetch)
        if isCancelled { await consumer.channel.abandon() }
        return true
    }
}

/// The position at which a stream's consumer begins.
enum StreamPosition {
    case first
    case offset(Int64)
    /// The newest chunk.
    case last
    case next
    /// The chunk written at that Unix time in seconds.
    case timestamp(UInt64)

    /// The value of the argument `x-stream-offset`.
    var argument: AMQPValue {
        switch self {
        case .first: "first"
        case .offset(let offset): .int64(offset)
        case .last: "last"
        case .next: "next"
        case .timestamp(let seconds): .timestamp(seconds)
        }
    }
}

extension ConnectionSlot {
    /// Starts to read a stream, on a channel that ends with the reading.
    func readStream(_ log: String, from position: StreamPosition, prefetch: UInt16) async throws -> AMQPConsumer {
        let channel = try await openChannel()
        do {
            try await channel.setPrefetch(prefetch)
            return try await channel.consume(log, arguments: ["x-stream-offset": position.argument])
        } catch {
            if !error.isConnectionGone { await channel.abandon() }
            throw error
        }
    }
}

extension AMQPDelivery {
    /// The offset of an entry of a stream.
    var streamOffset: Int64? { headers["x-stream-offset"]?.integer }
}

/// Finds the end of a stream by a mark that is appended to it.
enum LogEnd {
    /// Appends a mark and returns the offset after it.
    ///
    /// Throws the errors of the client, and `timedOut` if the mark does not arrive within the limit.
    static func find(
        _ log: String,
        on slot: ConnectionSlot,
        within limit: Duration,
        publish: (AMQPMessage) async throws -> Void
    ) async throws -> Int64 {
        // Before the mark, so that it is certain to arrive.
        let consumer = try await slot.readStream(log, from: .next, prefetch: 100)
        do {
            let id = (0..<2).map { _ in String(UInt64.random(in: .min ... .max), radix: 36) }.joined()
            try await publish(Message(id: id, type: Message.markType).amqp(routingKey: log))
            let end = try await end(of: log, markedBy: id, seenBy: consumer, within: limit)
            await consumer.channel.abandon()
            return end
        } catch {
            await consumer.channel.abandon()
            throw error
        }
    }

    private static func end(
        of log: String,
        markedBy id: String,
        seenBy consumer: AMQPConsumer,
        within limit: Duration
    ) async throws -> Int64 {
        try await withThrowingTaskGroup(of: Int64.self) { group in
            group.addTask {
                while let arrived = try await consumer.next(), let last = arrived.last {
                    let mark = arrived.first { $0.properties.messageID == id }
                    if let offset = mark?.streamOffset { return offset + 1 }
                    try await consumer.channel.acknowledge(upTo: last.deliveryTag)
                }
                throw BrokerError(.connectionLost, "the reader of log '\(log)' ended")
            }
            // The mark is confirmed; but a log may be trimmed so fast that the mark is never delivered.
            group.addTask {
                try await Task.sleep(for: limit)
                throw BrokerError(.timedOut, "the end of log '\(log)' did not arrive within \(limit)")
            }
            defer { group.cancelAll() }
            guard let end = try await group.next() else { throw CancellationError() }
            return end
        }
    }
}
