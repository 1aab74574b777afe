import SheafBroker
import SheafCore

/// The connections to the broker and the unique names of one case.
actor BrokerConformanceScene {
    /// The prefix of every name of this case.
    nonisolated let prefix: String
    private let makeBroker: @Sendable () async throws -> any Broker
    private var brokers: [any Broker] = []
    private var queues: [String] = []
    private var logs: [String] = []

    init(makeBroker: @escaping @Sendable () async throws -> any Broker) {
        self.makeBroker = makeBroker
        self.prefix = "conformance-" + String(UInt64.random(in: .min ... .max), radix: 36)
    }

    /// Returns a name for a queue, log or lock of this case.
    nonisolated func name(_ suffix: String) -> String { "\(prefix).\(suffix)" }

    /// Connects to the broker; the connection is closed when the case ends.
    func broker() async throws -> any Broker {
        let makeBroker = makeBroker
        let broker = try await withTimeout(.seconds(20), "connecting") { try await makeBroker() }
        brokers.append(broker)
        return broker
    }

    /// Declares a queue and returns its name; it is deleted when the case ends.
    func queue(
        _ suffix: String = "tasks",
        on broker: any Broker,
        as kind: QueueDeclaration.Kind = .work(deliveryLimit: 3)
    ) async throws -> String {
        let name = name(suffix)
        queues.append(name)
        try await broker.declareQueue(QueueDeclaration(name: name, kind: kind))
        return name
    }

    /// Declares a log and returns its name; it is deleted when the case ends.
    func log(_ suffix: String = "log", on broker: any Broker, maximumBytes: Int? = nil) async throws -> String {
        let name = name(suffix)
        logs.append(name)
        try await broker.declareLog(LogDeclaration(name: name, maximumBytes: maximumBytes))
        return name
    }

    /// Closes the connections of the case and removes what it declared.
    func end() async {
        let (brokers, queues, logs, makeBroker) = (self.brokers, self.queues, self.logs, self.makeBroker)
        self.brokers = []
        // A failure here would hide that of the case. Leftovers do no harm, because names are never used twice.
        try? await withTimeout(.seconds(20), "cleaning up") {
            for broker in brokers { await broker.close() }
            let broker = try await makeBroker()
            for queue in queues { try await broker.deleteQueue(queue) }
            for log in logs { try await broker.deleteLog(log) }
            await broker.close()
        }
    }
}

/// Returns messages with the numbers as identifiers and bodies.
func numbered(_ numbers: Range<Int>) -> [Message] {
    numbers.map { Message(id: String($0), type: "test", body: Array(String($0).utf8)) }
}

/// Returns the identifiers of deliveries, in order.
func ids(_ deliveries: [Delivery]) -> [String] { deliveries.map(\.message.id) }

/// Returns the identifiers of a range of numbered messages.
func ids(_ numbers: Range<Int>) -> [String] { numbers.map(String.init) }

extension QueueConsumer {
    /// Receives this number of deliveries, and throws a failure if more arrive, or fewer within the limit.
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
    /// Reads until the condition holds for the entries, and throws a failure if the limit passes first.
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
                try expect(chunk.nextOffset > last, "next offset \(chunk.nextOffset) is not after entry \(last)")
            }
            for (earlier, later) in zip(entries, entries.dropFirst()) {
                try expect(earlier.offset < later.offset, "offsets \(earlier.offset), \(later.offset) do not grow")
            }
            try expect(!entries.contains { $0.message.type == Message.markType }, "a mark was returned")
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

/// A running call of `next()`, so that a case can check that it waits and later obtain its result.
struct PendingNext {
    private let task: Task<[Delivery]?, any Error>

    init(_ consumer: any QueueConsumer) {
        self.task = Task { try await consumer.next() }
    }

    /// Throws a failure if the call returns within the duration.
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
            throw BrokerConformanceFailure("next() returned \(outcome) but had to wait", file: file, line: line)
        }
    }

    /// Returns or throws the result of the call, within the limit.
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
