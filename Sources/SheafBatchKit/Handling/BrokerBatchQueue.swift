import Logging
import OrderedCollections
public import SheafBatches
import SheafBroker
public import SheafCore

/// The queue of batches on the broker: a log that says which batches were added and which are finished.
///
/// Any number of processes may add to it.
public actor BrokerBatchQueue: BatchQueue {
    private let client: SheafClient
    private let log: String
    private var state = HandledBatches()
    private var nextOffset: Int64 = 0
    private var isDeclared = false

    /// Creates a queue for handlers with this name; nothing is stored before the first batch.
    public init(client: SheafClient, name: Name) {
        self.client = client
        log = client.names.handled(name)
    }

    /// Adds batches, and returns once that is stored.
    public func add(_ batches: [Name]) async throws {
        try await catchUp()
        let new = batches.filter { !state.unfinished.contains($0) }
        if new.isEmpty { return }
        try await append(new.map { HandledEntry.added($0).message })
        try await catchUp()
    }

    /// Returns the batches that were added and are not finished, in the order in which they were added.
    public func unfinished() async throws -> [Name] {
        try await catchUp()
        return Array(state.unfinished)
    }

    /// Removes a batch, and returns once that is stored.
    public func finish(_ batch: Name) async throws {
        try await catchUp()
        guard state.unfinished.contains(batch) else { return }
        try await append([HandledEntry.finished(batch).message])
        try await catchUp()
    }

    /// Returns a stream with an element whenever the log has grown.
    public func changes() async -> AsyncStream<Void> {
        let (stream, continuation) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        let (client, log) = (client, log)
        let following = Task {
            do {
                try await declare()
                try await client.broker.follow(log, from: .next) { _ in
                    continuation.yield()
                    return !Task.isCancelled
                }
            } catch {
                client.logger.debug("log '\(log)' is not followed: \(error)")
            }
            continuation.finish()
        }
        continuation.onTermination = { _ in following.cancel() }
        return stream
    }

    private func declare() async throws {
        if isDeclared { return }
        let (client, log) = (client, log)
        try await retrying(for: .seconds(15)) { try await client.broker.declareLog(LogDeclaration(name: log)) }
        isDeclared = true
    }

    private func append(_ messages: [Message]) async throws {
        let (client, log) = (client, log)
        // An entry that arrives twice changes nothing.
        try await retrying(for: .seconds(60)) { try await client.broker.append(messages, to: log) }
    }

    private func catchUp() async throws {
        try await declare()
        let broker = client.broker
        let end = try await retrying(for: .seconds(15)) { try await broker.presentEnd(of: log) }
        // Two calls may read at once: entries that one has applied are skipped by the other.
        try await broker.replay(log, from: .offset(nextOffset), to: end) { chunk in
            for entry in chunk.entries where entry.offset >= nextOffset {
                if let entry = HandledEntry(entry.message) { state.apply(entry) }
            }
            nextOffset = max(nextOffset, chunk.nextOffset)
        }
    }
}

/// An entry of the log of a handler.
enum HandledEntry: Equatable {
    case added(Name)
    case finished(Name)

    var message: Message {
        switch self {
        case .added(let batch): Message(id: batch.text, type: "added")
        case .finished(let batch): Message(id: batch.text, type: "finished")
        }
    }

    /// Decodes an entry; returns nil if the message is not one.
    init?(_ message: Message) {
        guard let batch = Name(message.id) else { return nil }
        switch message.type {
        case "added": self = .added(batch)
        case "finished": self = .finished(batch)
        default: return nil
        }
    }
}

/// What the log of a handler says; a pure fold.
struct HandledBatches: Equatable {
    private(set) var unfinished: OrderedSet<Name> = []

    mutating func apply(_ entry: HandledEntry) {
        switch entry {
        case .added(let batch): unfinished.append(batch)
        case .finished(let batch): unfinished.remove(batch)
        }
    }
}

extension WireNames {
    /// Returns the log of the batches that handlers with a name process.
    func handled(_ handler: Name) -> String { "\(namespace).handled.\(handler)" }

    /// Returns the lock of the process that handles batches under a name.
    func handlingLock(_ handler: Name) -> String { "\(namespace).lock.handling.\(handler)" }
}
