import OrderedCollections

/// A worker's report of the tasks it is running, sent on each change, every second while it holds tasks, and every ten
/// seconds while it is idle.
package struct Heartbeat: Sendable, Equatable {
    package static let messageType = "heartbeat"
    /// How long a heartbeat is valid.
    package static let lifetime = Duration.seconds(3)
    /// How often a worker that holds no task sends one.
    package static let idleInterval = Duration.seconds(10)
    /// For how long a worker that held no task is still known.
    package static let idleLifetime = Duration.seconds(25)

    /// The worker's name.
    package var worker: String
    /// The indices of the running tasks that are in no bulk, by batch; at most one for each slot, or a small group.
    package var running: [Name: [Int]]
    /// The number of running tasks of each bulk by its id, by batch: a bulk can have tens of thousands.
    package var bulks: [Name: [String: Int]]
    /// The number of tasks that the worker holds but has not started, by batch.
    package var waiting: [Name: Int]
    /// The tasks that wait for a rate limit, by batch.
    package var limited: [Name: RateLimitWait]
    /// The machine that the worker runs on, or nil if it does not report it.
    package var host: String?
    /// How many tasks the worker runs at once, or nil if it does not report it.
    package var slots: Int?
    /// The flows that the worker can run; empty if it does not report them.
    package var flows: [Name]
    /// Whether the worker has left.
    package var hasLeft: Bool

    package init(
        worker: String,
        running: [Name: [Int]],
        bulks: [Name: [String: Int]] = [:],
        waiting: [Name: Int] = [:],
        limited: [Name: RateLimitWait] = [:],
        host: String? = nil,
        slots: Int? = nil,
        flows: [Name] = [],
        hasLeft: Bool = false
    ) {
        self.worker = worker
        self.running = running
        self.bulks = bulks
        self.waiting = waiting
        self.limited = limited
        self.host = host
        self.slots = slots
        self.flows = flows
        self.hasLeft = hasLeft
    }

    /// Whether the worker runs something.
    package var isRunning: Bool { !(running.isEmpty && bulks.isEmpty) }

    package var message: Message {
        var batches: JSONValue = [:]
        if case .object(var fields) = batches {
            for (batch, indices) in running.sorted(by: { $0.key < $1.key }) {
                fields[batch.text] = .array(indices.map { .integer($0) })
            }
            batches = .object(fields)
        }
        var fields: OrderedDictionary<String, JSONValue> = ["worker": .string(worker), "running": batches]
        if !bulks.isEmpty {
            let counts = bulks.sorted { $0.key < $1.key }.map { batch, bulks in
                let sorted = bulks.sorted { $0.key < $1.key }.map { ($0.key, JSONValue.integer($0.value)) }
                return (batch.text, JSONValue.object(OrderedDictionary(uniqueKeysWithValues: sorted)))
            }
            fields["bulks"] = .object(OrderedDictionary(uniqueKeysWithValues: counts))
        }
        if !waiting.isEmpty {
            let counts = waiting.sorted { $0.key < $1.key }.map { ($0.key.text, JSONValue.integer($0.value)) }
            fields["waiting"] = .object(OrderedDictionary(uniqueKeysWithValues: counts))
        }
        if !limited.isEmpty {
            let waits = limited.sorted { $0.key < $1.key }.map { ($0.key.text, $0.value.json) }
            fields["limited"] = .object(OrderedDictionary(uniqueKeysWithValues: waits))
        }
        if let host { fields["host"] = .string(host) }
        if let slots { fields["slots"] = .integer(slots) }
        if !flows.isEmpty { fields["flows"] = .array(flows.map { .string($0.text) }) }
        if hasLeft { fields["left"] = true }
        let body = JSONValue.object(fields)
        return Message(type: Self.messageType, contentType: "application/json", body: body.bytes)
    }

    /// Decodes a heartbeat; returns nil if the message is not one.
    package init?(_ message: Message) {
        guard message.type == Self.messageType, let body = try? JSON.parse(message.body),
            let worker = body["worker"]?.stringValue
        else { return nil }
        var running: [Name: [Int]] = [:]
        for (batch, indices) in body["running"]?.objectValue ?? [:] {
            if let name = Name(batch) { running[name] = (indices.arrayValue ?? []).compactMap(\.intValue) }
        }
        var bulks: [Name: [String: Int]] = [:]
        for (batch, counts) in body["bulks"]?.objectValue ?? [:] {
            guard let name = Name(batch) else { continue }
            for (id, count) in counts.objectValue ?? [:] where id.utf8.count <= TaskLease.longestID {
                guard let count = count.intValue, (1...BatchState.maximumTasks).contains(count) else { continue }
                bulks[name, default: [:]][id] = count
            }
        }
        var waiting: [Name: Int] = [:]
        for (batch, count) in body["waiting"]?.objectValue ?? [:] {
            if let name = Name(batch), let count = count.intValue, count > 0 { waiting[name] = count }
        }
        var limited: [Name: RateLimitWait] = [:]
        for (batch, wait) in body["limited"]?.objectValue ?? [:] {
            if let name = Name(batch), let wait = RateLimitWait(json: wait) { limited[name] = wait }
        }
        self.init(
            worker: worker,
            running: running,
            bulks: bulks,
            waiting: waiting,
            limited: limited,
            host: body["host"]?.stringValue,
            slots: body["slots"]?.intValue.flatMap { $0 > 0 ? $0 : nil },
            flows: (body["flows"]?.arrayValue ?? []).compactMap { $0.stringValue.flatMap { Name($0) } },
            hasLeft: body["left"]?.boolValue ?? false
        )
    }
}
