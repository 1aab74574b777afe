import SheafBroker
import SheafCore

extension QueueConsumer {
    /// Receives until there are as many deliveries as asked for; throws a failure when more come or too few within the
    /// limit.
    func receive(
        _ count: Int,
        within limit: Duration = .seconds(20),
        file: String = #fileID,
        line: Int = #line
    ) async throws -> [Delivery] {
        let deliveries = try await withTimeout(limit, "receiving \(count)", file: file, line: line) {
            var received: [Delivery] = []
            while received.count < count {
                guard let more = try await self.next() else { break }
                received += more
            }
            return received
        }
        try expectEqual(deliveries.count, count, "number of deliveries", file: file, line: line)
        return deliveries
    }
}

extension LogReader {
    /// Reads until the condition holds for what was read; throws a failure when the limit passes first.
    func read(
        within limit: Duration = .seconds(20),
        until isEnough: @escaping @Sendable ([LogEntry]) -> Bool,
        file: String = #fileID,
        line: Int = #line
    ) async throws -> [LogEntry] {
        try await withTimeout(limit, "reading a log", file: file, line: line) {
            var entries: [LogEntry] = []
            while !isEnough(entries), let chunk = try await self.next() {
                entries += chunk.entries
                let last = chunk.entries.last?.offset ?? -1
                try expect(chunk.nextOffset > last, "next offset \(chunk.nextOffset) is not behind entry \(last)")
            }
            for (earlier, later) in zip(entries, entries.dropFirst()) {
                try expect(earlier.offset < later.offset, "offsets \(earlier.offset), \(later.offset) do not grow")
            }
            try expect(!entries.contains { $0.message.type == Message.markType }, "a mark was handed out")
            return entries
        }
    }

    /// Reads this many entries.
    func read(
        _ count: Int,
        within limit: Duration = .seconds(20),
        file: String = #fileID,
        line: Int = #line
    ) async throws -> [LogEntry] {
        try await read(within: limit, until: { $0.count >= count }, file: file, line: line)
    }
}

/// A call of `next()` under way, so that a case can see that it waits and later get what it returns.
struct PendingNext {
    private let task: Task<[Delivery]?, any Error>

    init(_ consumer: any QueueConsumer) {
        self.task = Task { try await consumer.next() }
    }

    /// Throws a failure when the call returns within the duration.
    func staysQuiet(
        for duration: Duration = .milliseconds(300),
        file: String = #fileID,
        line: Int = #line
    ) async throws {
        let (signals, continuation) = AsyncStream<Bool>.makeStream(bufferingPolicy: .bufferingOldest(1))
        let task = task
        let watch = Task {
            _ = await task.result
            continuation.yield(true)
        }
        let timer = Task {
            try await Task.sleep(for: duration)
            continuation.yield(false)
        }
        defer {
            watch.cancel()
            timer.cancel()
        }
        for await isOver in signals {
            guard isOver else { return }
            let outcome = await task.result
            throw BrokerConformanceFailure("next() gave \(outcome) where it had to wait", file: file, line: line)
        }
    }

    /// What the call returns or throws; bounded by the limit.
    func value(
        within limit: Duration = .seconds(20),
        file: String = #fileID,
        line: Int = #line
    ) async throws -> [Delivery]? {
        let task = task
        return try await withTimeout(limit, "next()", file: file, line: line) { try await task.value }
    }

    /// Cancels the task that made the call.
    func cancelTask() { task.cancel() }
}
