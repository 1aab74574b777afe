import OrderedCollections
package import SheafCore

/// How the requests of one dispatcher become batches.
package struct DispatchSettings: Sendable {
    /// The name of the dispatcher.
    package let name: Name
    /// The flow of the batches.
    package let flow: Name
    /// The number of requests that makes a batch.
    package let queueThreshold: Int
    /// The number of bytes that a batch has at most.
    package let maxBytes: Int
    /// The age of the oldest request that makes a batch.
    package let timeThreshold: Duration
    /// How often the age is looked at.
    package let timeInterval: Duration
    /// Shared arguments, an object, which requests get if they do not have them.
    package let arguments: JSONValue
    /// The field that keeps requests apart, or nil if there is none.
    package let key: String?
    /// How many requests may wait, or nil for any number.
    package let maxWaiting: Int?
    /// Where the requests wait, or nil for the broker's own queue.
    package let queue: RedisQueueSettings?

    /// The largest shared arguments in bytes.
    private static let maximumArguments = 64 << 10
    static let keys = [
        "flow", "queue_threshold", "max_bytes", "time_threshold", "time_interval", "requests", "request_kwargs", "key",
        "max_waiting", "queue", "queue_key", "queue_type",
    ]

    /// Reads an entry of `dispatch:`.
    init(
        _ name: Name,
        _ reader: SettingsReader,
        flows: OrderedDictionary<Name, FlowSettings>,
        queues: DispatchQueues
    ) throws(SettingsError) {
        let members = reader.node.isNull ? [:] : try reader.members(knowing: Self.keys)
        self.name = name
        flow = try Self.flow(members["flow"] ?? reader, name: try members["flow"]?.text("a flow") ?? name.text, flows)
        queueThreshold = try members["queue_threshold"]?.int(in: 1...BatchState.maximumTasks) ?? 50_000
        maxBytes = try members["max_bytes"].map(Self.size) ?? 200_000_000
        let threshold = try members["time_threshold"].map(Self.age) ?? .seconds(2 * 60 * 60)
        timeThreshold = threshold
        timeInterval = try members["time_interval"].map(Self.interval) ?? max(.milliseconds(100), threshold / 12)
        arguments = try Self.arguments(members)
        key = try members["key"]?.nonEmptyText("the name of a field")
        maxWaiting = try members["max_waiting"]?.int(atLeast: 1)
        queue = try queues.queue(of: name, members)
    }

    /// Reads `dispatch:`.
    static func all(
        _ reader: SettingsReader?,
        flows: OrderedDictionary<Name, FlowSettings>,
        queues: DispatchQueues
    ) throws(SettingsError) -> OrderedDictionary<Name, DispatchSettings> {
        var all: OrderedDictionary<Name, DispatchSettings> = [:]
        for entry in try reader?.members("a map of dispatchers by name") ?? [] {
            guard let name = Name(entry.name) else {
                throw entry.value.error("'\(entry.name)' is not a valid name of a dispatcher: \(Name.rule)")
            }
            all[name] = try DispatchSettings(name, entry.value, flows: flows, queues: queues)
        }
        return all
    }

    private static func flow(
        _ reader: SettingsReader,
        name: String,
        _ flows: OrderedDictionary<Name, FlowSettings>
    ) throws(SettingsError) -> Name {
        if let flow = Name(name), flows[flow] != nil { return flow }
        let known = flows.keys.map(\.text)
        throw reader.error(
            "unknown flow '\(name)'; known flows are \(known.joined(separator: ", "))"
                + Suggestion.text(for: name, among: known)
        )
    }

    private static func size(_ member: SettingsReader) throws(SettingsError) -> Int {
        guard let size = SizeText.parse(try member.text(SizeText.rule)), size > 0 else {
            throw member.expected(SizeText.rule)
        }
        return size
    }

    /// Reads a duration, which may be 0 without a unit.
    private static func age(_ member: SettingsReader) throws(SettingsError) -> Duration {
        member.json == 0 ? .zero : try member.duration()
    }

    private static func interval(_ member: SettingsReader) throws(SettingsError) -> Duration {
        let interval = try member.duration()
        if interval < .milliseconds(100) { throw member.error("less than 100ms, which is the shortest allowed") }
        return interval
    }

    private static func arguments(_ members: [String: SettingsReader]) throws(SettingsError) -> JSONValue {
        let rule = "partial or full"
        var isFull = false
        if let requests = members["requests"] {
            let kind = try requests.text(rule)
            guard ["partial", "full"].contains(kind) else { throw requests.expected(rule) }
            isFull = kind == "full"
        }
        guard let member = members["request_kwargs"] else { return [:] }
        guard member.json.objectValue != nil else { throw member.expected("a map of arguments") }
        if isFull { throw member.error("requests are 'full', so they have no shared arguments") }
        let size = member.json.bytes.count
        if size > maximumArguments {
            throw member.error("the arguments have \(size) bytes; the limit is \(maximumArguments)")
        }
        return member.json
    }
}
