import OrderedCollections

/// A worker's report of the tasks it is running, sent every second and on each change.
package struct Heartbeat: Sendable, Equatable {
    package static let messageType = "heartbeat"
    /// How long a heartbeat is valid.
    package static let lifetime = Duration.seconds(3)

    /// The worker's name.
    package var worker: String
    /// The indices of the running tasks, by batch.
    package var running: [Name: [Int]]
    /// The number of tasks that the worker holds but has not started, by batch.
    package var waiting: [Name: Int]
    /// The tasks that wait for a rate limit, by batch.
    package var limited: [Name: RateLimitWait]

    package init(
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

    package var message: Message {
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

    /// Decodes a heartbeat; returns nil if the message is not one.
    package init?(_ message: Message) {
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
