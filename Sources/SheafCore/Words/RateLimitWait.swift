import OrderedCollections

/// How many tasks of a batch workers hold back because of a limit.
public struct RateLimitWait: Sendable, Equatable {
    /// Which limit.
    public var key: RateLimitKey
    /// How many tasks.
    public var tasks: Int
    /// Until when the service behind it is left alone, or nil where only the rate is waited for.
    public var until: Timestamp?

    /// Makes one.
    public init(key: RateLimitKey, tasks: Int, until: Timestamp? = nil) {
        self.key = key
        self.tasks = tasks
        self.until = until
    }

    /// The waits of two workers as one.
    public func joined(with other: RateLimitWait) -> RateLimitWait {
        let moments = [until, other.until].compactMap(\.self)
        return RateLimitWait(key: other.key, tasks: tasks + other.tasks, until: moments.max())
    }

    /// The wait as a JSON object.
    public var json: JSONValue {
        ["limit": .string(key.text), "tasks": .integer(tasks), "until": .optional(until?.description)]
    }

    /// Reads a wait; nil where it is none.
    public init?(json: JSONValue) {
        guard let key = json["limit"]?.stringValue.flatMap({ RateLimitKey($0) }), let tasks = json["tasks"]?.intValue,
            (1...BatchState.maximumTasks).contains(tasks)
        else { return nil }
        self.init(key: key, tasks: tasks, until: json["until"]?.stringValue.flatMap { Timestamp($0) })
    }
}
