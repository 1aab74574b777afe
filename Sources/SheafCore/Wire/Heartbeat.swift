import OrderedCollections

/// What a worker says every second and whenever it changes: which tasks it is running.
public struct Heartbeat: Sendable, Equatable {
    /// The type of such messages.
    public static let messageType = "heartbeat"
    /// How long a signal is believed.
    public static let lifetime = Duration.seconds(3)

    /// The worker.
    public var worker: String
    /// The numbers of the tasks it is running, by batch.
    public var running: [Name: [Int]]
    /// How many tasks it holds that have not begun, by batch.
    public var waiting: [Name: Int]
    /// Which of those wait for a limit, by batch.
    public var limited: [Name: RateLimitWait]

    /// Makes a signal.
    public init(
        worker: String,
        running: [Name: [Int]],
        waiting: [Name: Int] = [:],
        limited: [Name: RateLimitWait] = [:]
    ) {
        self.worker = worker
        self.running = running
        self.waiting = waiting
        self.limited = limited
    }

    /// The message for the broker.
    public var message: Message {
        var batches: JSONValue = [:]
        if case .object(var fields) = batches {
            for (batch, indices) in running.sorted(by: { $0.key < $1.key }) {
                fields[batch.text] = .array(indices.map { .integer($0) })
            }
            batches = .object(fields)
        }
        var fields: OrderedDictionary<String, JSONValue> = ["worker": .string(worker), "running": batches]
        if !waiting.isEmpty {
            let counts = waiting.sorted { $0.key < $1.key }.map { ($0.key.text, JSONValue.integer($0.value)) }
            fields["waiting"] = .object(OrderedDictionary(uniqueKeysWithValues: counts))
        }
        if !limited.isEmpty {
            let waits = limited.sorted { $0.key < $1.key }.map { ($0.key.text, $0.value.json) }
            fields["limited"] = .object(OrderedDictionary(uniqueKeysWithValues: waits))
        }
        let body = JSONValue.object(fields)
        return Message(type: Self.messageType, contentType: "application/json", body: body.bytes)
    }

    /// Reads a signal; nil where the message is none.
    public init?(_ message: Message) {
        guard message.type == Self.messageType, let body = try? JSON.parse(message.body),
            let worker = body["worker"]?.stringValue
        else { return nil }
        var running: [Name: [Int]] = [:]
        for (batch, indices) in body["running"]?.objectValue ?? [:] {
            if let name = Name(batch) { running[name] = (indices.arrayValue ?? []).compactMap(\.intValue) }
        }
        var waiting: [Name: Int] = [:]
        for (batch, count) in body["waiting"]?.objectValue ?? [:] {
            if let name = Name(batch), let count = count.intValue, count > 0 { waiting[name] = count }
        }
        var limited: [Name: RateLimitWait] = [:]
        for (batch, wait) in body["limited"]?.objectValue ?? [:] {
            if let name = Name(batch), let wait = RateLimitWait(json: wait) { limited[name] = wait }
        }
        self.init(worker: worker, running: running, waiting: waiting, limited: limited)
    }
}
