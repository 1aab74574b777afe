import SheafBroker
import SheafCore

/// A broker in the memory of this process: the smallest implementation that follows all rules, added without an edit
/// elsewhere.
///
/// Each `MemoryBroker` is one connection to a ``MemoryServer``.
final class MemoryBroker: Broker {
    private let server: MemoryServer
    private let id: UInt64

    init(_ server: MemoryServer) async {
        self.server = server
        self.id = await server.connect()
    }

    /// Opens references that begin with `memory:`, all of them on this server.
    static func provider(_ server: MemoryServer) -> BrokerProvider {
        BrokerProvider(schemes: ["memory"]) { _, _ in await MemoryBroker(server) }
    }

    var description: BrokerDescription {
        BrokerDescription(kind: "memory", address: "this process", version: "1")
    }

    func declareQueue(_ declaration: QueueDeclaration) async throws { try await server.declare(declaration, id) }
    func deleteQueue(_ name: String) async throws { try await server.deleteQueue(name, id) }
    func purgeQueue(_ name: String) async throws -> Int { try await server.purge(name, id) }
    func queueStatus(_ name: String) async throws -> QueueStatus? { try await server.status(name, id) }
    func declareLog(_ declaration: LogDeclaration) async throws { try await server.declare(declaration, id) }
    func deleteLog(_ name: String) async throws { try await server.deleteLog(name, id) }
    func endOffset(of log: String) async throws -> Int64? { try await server.end(of: log, id) }
    func publish(_ messages: [Message], to queue: String) async throws {
        try await server.publish(messages, to: queue, id)
    }
    func publish(_ message: Message, to queue: String, after delay: Duration) async throws {
        try await server.publish(message, to: queue, after: delay, id)
    }
    func append(_ messages: [Message], to log: String) async throws { try await server.append(messages, to: log, id) }
    func consume(_ queue: String, prefetch: Int) async throws -> any QueueConsumer {
        MemoryConsumer(server: server, id: try await server.consume(queue, prefetch: prefetch, id))
    }
    func get(_ queue: String) async throws -> Delivery? { try await server.get(queue, id) }
    func settle(_ deliveries: [Delivery.Token], as settlement: Settlement) async throws {
        try await server.settle(deliveries, as: settlement, id)
    }
    func read(_ log: String, from position: LogPosition) async throws -> any LogReader {
        MemoryReader(server: server, id: try await server.read(log, from: position, id))
    }
    func acquireLock(_ name: String) async throws -> (any BrokerLock)? {
        try await server.acquire(name, id).map { MemoryLock(name: name, server: server, id: $0) }
    }
    func isLocked(_ name: String) async throws -> Bool { try await server.isLocked(name, id) }
    func close() async { await server.close(id) }
}

private struct MemoryConsumer: QueueConsumer {
    let server: MemoryServer
    let id: UInt64

    func next() async throws -> [Delivery]? { try await server.nextDeliveries(id) }
    func cancel() async throws -> [Delivery] {
        await server.cancelConsumer(id)
        return []
    }
}

private struct MemoryReader: LogReader {
    let server: MemoryServer
    let id: UInt64

    func next() async throws -> LogChunk? { try await server.nextChunk(id) }
    func cancel() async { await server.cancelReader(id) }
}

private struct MemoryLock: BrokerLock {
    let name: String
    let server: MemoryServer
    let id: UInt64

    var isHeld: Bool { get async { await server.holds(name, id) } }
    func release() async { await server.release(name, id) }
}

/// The state of an in-memory broker, shared by its connections.
actor MemoryServer {
    private struct Item {
        let number: UInt64
        let message: Message
        var deliveries = 0
        var death: Delivery.Death?
    }

    private struct Queue {
        let id: UInt64
        var kind: QueueDeclaration.Kind
        /// Sorted by number, so that a returned message goes back to its place.
        var ready: [Item] = []
    }

    private struct Held {
        let queue: (name: String, id: UInt64)
        let item: Item
        let connection: UInt64
        let consumer: UInt64?
    }

    private struct Consumer {
        let queue: (name: String, id: UInt64)
        let prefetch: Int
        let connection: UInt64
        var held = 0
    }

    private struct Log {
        let id: UInt64
        let maximumBytes: Int?
        var entries: [LogEntry] = []
        var next: Int64 = 0
        var bytes = 0
    }

    private struct Reader {
        let log: (name: String, id: UInt64)
        let connection: UInt64
        var offset: Int64
    }

    private static let largestChunk = 500

    private var lastID: UInt64 = 0
    private var connections: Set<UInt64> = []
    private var queues: [String: Queue] = [:]
    private var held: [UInt64: Held] = [:]
    private var consumers: [UInt64: Consumer] = [:]
    private var logs: [String: Log] = [:]
    private var readers: [UInt64: Reader] = [:]
    private var locks: [String: (id: UInt64, connection: UInt64)] = [:]
    private var waiters: [UInt64: CheckedContinuation<Void, Never>] = [:]
    /// Consumers and readers that ended with their connection, which must report that.
    private var orphans: Set<UInt64> = []

    // MARK: Connections

    func connect() -> UInt64 {
        let id = nextID()
        connections.insert(id)
        return id
    }

    func close(_ connection: UInt64) {
        guard connections.remove(connection) != nil else { return }
        for tag in held.filter({ $0.value.connection == connection }).keys.sorted() { settle(tag, as: .returned) }
        for (id, consumer) in consumers where consumer.connection == connection {
            consumers[id] = nil
            orphans.insert(id)
        }
        for (id, reader) in readers where reader.connection == connection {
            readers[id] = nil
            orphans.insert(id)
        }
        locks = locks.filter { $0.value.connection != connection }
        wakeAll()
    }

    // MARK: Queues

    func declare(_ declaration: QueueDeclaration, _ connection: UInt64) throws {
        try check(connection, name: declaration.name)
        switch declaration.kind {
        case .work(let limit, _, _) where limit < 0: throw BrokerError(.invalidArgument, "the limit is negative")
        case .waitingRoom(let lifetime, _) where lifetime < .zero:
            throw BrokerError(.invalidArgument, "the lifetime is negative")
        default: break
        }
        guard let queue = queues[declaration.name] else {
            queues[declaration.name] = Queue(id: nextID(), kind: declaration.kind)
            return
        }
        if case .work(let limit, let dead, _) = queue.kind, case .work(limit, dead, _) = declaration.kind { return }
        guard queue.kind == declaration.kind else {
            throw BrokerError(.mismatch, "a different queue '\(declaration.name)' exists")
        }
    }

    func deleteQueue(_ name: String, _ connection: UInt64) throws {
        try check(connection, name: name)
        queues[name] = nil
        wakeAll()
    }

    func purge(_ name: String, _ connection: UInt64) throws -> Int {
        let count = try queue(name, connection).ready.count
        queues[name]?.ready = []
        return count
    }

    func status(_ name: String, _ connection: UInt64) throws -> QueueStatus? {
        try check(connection, name: name)
        guard let queue = queues[name] else { return nil }
        return QueueStatus(
            ready: queue.ready.count,
            consumers: consumers.values.count { $0.queue.id == queue.id }
        )
    }

    func publish(_ messages: [Message], to name: String, _ connection: UInt64) throws {
        _ = try queue(name, connection)
        for message in messages { put(Item(number: nextID(), message: message), into: name) }
        wakeAll()
    }

    func publish(_ message: Message, to name: String, after delay: Duration, _ connection: UInt64) throws {
        guard delay > .zero else { return try publish([message], to: name, connection) }
        try check(connection, name: name)
        put(Item(number: nextID(), message: message), into: name, after: delay)
    }

    // MARK: Consuming

    func consume(_ name: String, prefetch: Int, _ connection: UInt64) throws -> UInt64 {
        guard prefetch > 0 else { throw BrokerError(.invalidArgument, "the prefetch is less than 1") }
        let queue = try queue(name, connection)
        let id = nextID()
        consumers[id] = Consumer(queue: (name, queue.id), prefetch: prefetch, connection: connection)
        return id
    }

    func nextDeliveries(_ id: UInt64) async throws -> [Delivery]? {
        while true {
            if orphans.contains(id) { throw closed }
            guard let consumer = consumers[id] else { return nil }
            let (name, queue) = consumer.queue
            guard let current = queues[name], current.id == queue else {
                throw BrokerError(.queueGone, "queue '\(name)' was deleted")
            }
            let count = min(consumer.prefetch - consumer.held, current.ready.count)
            if count > 0 { return take(count, from: name, consumer.connection, id) }
            try await waitForChange()
        }
    }

    func cancelConsumer(_ id: UInt64) {
        consumers[id] = nil
        wakeAll()
    }

    func get(_ name: String, _ connection: UInt64) throws -> Delivery? {
        guard try !queue(name, connection).ready.isEmpty else { return nil }
        return take(1, from: name, connection, nil).first
    }

    func settle(_ tokens: [Delivery.Token], as settlement: Settlement, _ connection: UInt64) throws {
        try check(connection)
        for token in tokens where token.epoch == connection { settle(token.tag, as: settlement) }
        wakeAll()
    }

    // MARK: Logs

    func declare(_ declaration: LogDeclaration, _ connection: UInt64) throws {
        try check(connection, name: declaration.name)
        guard logs[declaration.name] == nil else { return }
        logs[declaration.name] = Log(id: nextID(), maximumBytes: declaration.maximumBytes)
    }

    func deleteLog(_ name: String, _ connection: UInt64) throws {
        try check(connection, name: name)
        logs[name] = nil
        wakeAll()
    }

    func end(of name: String, _ connection: UInt64) throws -> Int64? {
        try check(connection, name: name)
        return logs[name]?.next
    }

    func append(_ messages: [Message], to name: String, _ connection: UInt64) throws {
        _ = try log(name, connection)
        for message in messages { append(message, to: name) }
        wakeAll()
    }

    func read(_ name: String, from position: LogPosition, _ connection: UInt64) throws -> UInt64 {
        let log = try log(name, connection)
        let offset: Int64 =
            switch position {
            // Entries carry no times here, so every entry may be young enough.
            case .first, .since: 0
            case .offset(let offset): offset
            case .last: max(0, log.next - 1)
            case .next: log.next
            }
        let id = nextID()
        readers[id] = Reader(log: (name, log.id), connection: connection, offset: offset)
        return id
    }

    func nextChunk(_ id: UInt64) async throws -> LogChunk? {
        while true {
            if orphans.contains(id) { throw closed }
            guard let reader = readers[id] else { return nil }
            guard let log = logs[reader.log.name], log.id == reader.log.id else {
                throw BrokerError(.queueGone, "log '\(reader.log.name)' was deleted")
            }
            let first = log.entries.first?.offset ?? log.next
            let skipped = Int(max(0, reader.offset - first))
            let entries = Array(log.entries.dropFirst(skipped).prefix(Self.largestChunk))
            if let last = entries.last {
                readers[id]?.offset = last.offset + 1
                return LogChunk(entries: entries, nextOffset: last.offset + 1)
            }
            try await waitForChange()
        }
    }

    func cancelReader(_ id: UInt64) {
        readers[id] = nil
        wakeAll()
    }

    // MARK: Locks

    func acquire(_ name: String, _ connection: UInt64) throws -> UInt64? {
        try check(connection, name: name)
        guard locks[name] == nil else { return nil }
        let id = nextID()
        locks[name] = (id, connection)
        return id
    }

    func isLocked(_ name: String, _ connection: UInt64) throws -> Bool {
        try check(connection, name: name)
        return locks[name] != nil
    }

    func holds(_ name: String, _ id: UInt64) -> Bool { locks[name]?.id == id }

    func release(_ name: String, _ id: UInt64) { if holds(name, id) { locks[name] = nil } }

    // MARK: Messages on their way

    private func put(_ item: Item, into name: String) {
        guard let queue = queues[name] else { return }
        if case .waitingRoom(let lifetime, let next) = queue.kind { return put(item, into: next, after: lifetime) }
        let place = queue.ready.firstIndex { $0.number > item.number } ?? queue.ready.endIndex
        queues[name]?.ready.insert(item, at: place)
    }

    private func put(_ item: Item, into name: String, after delay: Duration) {
        Task {
            try await Task.sleep(for: delay)
            put(Item(number: nextID(), message: item.message, death: item.death), into: name)
            wakeAll()
        }
    }

    private func take(_ count: Int, from name: String, _ connection: UInt64, _ consumer: UInt64?) -> [Delivery] {
        guard let queue = queues[name] else { return [] }
        queues[name]?.ready.removeFirst(count)
        if let consumer { consumers[consumer]?.held += count }
        return queue.ready.prefix(count).map { item in
            let tag = nextID()
            held[tag] = Held(queue: (name, queue.id), item: item, connection: connection, consumer: consumer)
            return Delivery(
                message: item.message,
                queue: name,
                earlierDeliveries: item.deliveries,
                death: item.death,
                token: Delivery.Token(epoch: connection, channel: 0, tag: tag)
            )
        }
    }

    private func settle(_ tag: UInt64, as settlement: Settlement) {
        guard let held = held.removeValue(forKey: tag) else { return }
        if let consumer = held.consumer { consumers[consumer]?.held -= 1 }
        guard settlement != .acknowledged, let queue = queues[held.queue.name], queue.id == held.queue.id else {
            return
        }
        guard settlement == .returned else { return bury(held, queue, "rejected") }
        var item = held.item
        item.deliveries += 1
        if case .work(let limit, _, _) = queue.kind, item.deliveries > limit {
            return bury(held, queue, "delivery_limit")
        }
        put(item, into: held.queue.name)
    }

    private func bury(_ held: Held, _ queue: Queue, _ reason: String) {
        let target: QueueDeclaration.DeadLetterTarget?
        switch queue.kind {
        case .work(_, let deadLetter, _), .tokens(let deadLetter): target = deadLetter
        case .waitingRoom: target = nil
        }
        let death = held.item.death ?? Delivery.Death(reason: reason, queue: held.queue.name)
        switch target {
        case nil: break
        case .queue(let name): put(Item(number: nextID(), message: held.item.message, death: death), into: name)
        case .log(let name):
            var message = held.item.message
            message.headers.append(Message.Header("x-first-death-reason", .string(death.reason)))
            message.headers.append(Message.Header("x-first-death-queue", .string(death.queue)))
            append(message, to: name)
        }
    }

    private func append(_ message: Message, to name: String) {
        guard var log = logs.removeValue(forKey: name) else { return }
        log.entries.append(LogEntry(offset: log.next, message: message))
        log.next += 1
        log.bytes += message.body.count
        while let maximum = log.maximumBytes, log.bytes > maximum, log.entries.count > 1 {
            log.bytes -= log.entries.removeFirst().message.body.count
        }
        logs[name] = log
    }

    // MARK: Checks and waiting

    private var closed: BrokerError { BrokerError(.closed, "the connection was closed by this process") }

    private func check(_ connection: UInt64, name: String = "name") throws {
        guard connections.contains(connection) else { throw closed }
        guard !name.isEmpty, name.utf8.count <= 233 else {
            throw BrokerError(.invalidArgument, "a name needs 1 to 233 bytes")
        }
    }

    private func queue(_ name: String, _ connection: UInt64) throws -> Queue {
        try check(connection, name: name)
        guard let queue = queues[name] else { throw BrokerError(.notFound, "queue '\(name)' does not exist") }
        return queue
    }

    private func log(_ name: String, _ connection: UInt64) throws -> Log {
        try check(connection, name: name)
        guard let log = logs[name] else { throw BrokerError(.notFound, "log '\(name)' does not exist") }
        return log
    }

    private func nextID() -> UInt64 {
        lastID += 1
        return lastID
    }

    /// Waits until anything changes; throws `CancellationError` if the task is cancelled.
    private func waitForChange() async throws {
        let id = nextID()
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                if Task.isCancelled { continuation.resume() } else { waiters[id] = continuation }
            }
        } onCancel: {
            Task { await self.wake(id) }
        }
        try Task.checkCancellation()
    }

    private func wake(_ id: UInt64) { waiters.removeValue(forKey: id)?.resume() }

    private func wakeAll() {
        let waiting = waiters.values
        waiters = [:]
        for continuation in waiting { continuation.resume() }
    }
}
