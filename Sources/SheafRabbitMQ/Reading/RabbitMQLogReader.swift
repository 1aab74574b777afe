import AMQPClient
import SheafBroker
import SheafCore

/// A stream's consumer; its acknowledgements are nothing but the permission to send more.
actor RabbitMQLogReader: LogReader {
    /// How many entries may be on their way or wait here; most have a quarter of a megabyte at most.
    private static let prefetch: UInt16 = 64

    /// Where the newest entry is looked for, when it is not where the log ends.
    private struct NewestSearch {
        /// Where the last step began, or nil before the first.
        var begin: Int64?
        /// How far back the next step goes.
        var distance: Int64 = 64
        /// Behind the marks at the end of the log.
        var end: Int64 = 0
    }

    private let log: String
    private let broker: RabbitMQBroker
    private var consumer: AMQPConsumer
    /// Entries below this are left out: the broker begins with a whole chunk, and stepping back passes entries again.
    private var floor: Int64
    /// A chunk to hand out before anything is read.
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
            return try await reader(.timestamp(UInt64(max(0, WallClock.secondsSince1970() - age.components.seconds))))
        case .last:
            let reader = try await reader(.last)
            await reader.findNewest()
            return reader
        case .next:
            // By its offset, so that a reader that loses its connection before anything came misses nothing.
            guard let end = try await broker.endOffset(of: log) else {
                throw BrokerError(.notFound, "there is no log '\(log)'")
            }
            let reader = try await reader(.offset(end), floor: end)
            await reader.begin(with: LogChunk(entries: [], nextOffset: end))
            return reader
        }
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

    /// The end of a log may be nothing but marks; then the newest entry is looked for before them, further each time.
    private func stepsBack(from chunk: LogChunk, startingAt start: Int64) async throws -> Bool {
        guard var search else { return false }
        guard chunk.entries.isEmpty else {
            self.search = nil
            return false
        }
        if chunk.nextOffset < search.end {
            // Still on the way to the marks that were seen first.
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
