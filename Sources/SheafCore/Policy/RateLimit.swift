import OrderedCollections

/// The maximum rate of calls across all workers, such as `100/s` or `600/m`.
///
/// Tokens enforce it: a worker takes a token before each call, and the token becomes available again after its
/// lifetime. In any time window, at most the calls that the rate allows, plus one burst, can start.
public struct RateLimit: Sendable, Hashable, CustomStringConvertible {
    /// The accepted form, for error messages.
    package static let rule = "a rate such as 100/s, 600/m or 5000/h"
    /// The maximum number of calls per second.
    package static let maximum = 10_000
    /// The maximum number of bursts per second.
    private static let burstsPerSecond = 10.0
    private static let units: [(name: String, seconds: Int)] = [("s", 1), ("m", 60), ("h", 3600), ("d", 86400)]

    /// The number of calls.
    public let count: Int
    /// The length of the rate's unit, in seconds.
    public let seconds: Int

    /// Parses an integer, `/`, and one of `s`, `m`, `h`, `d`; returns nil if the text is invalid or the rate too high.
    public init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, parts[0].utf8.allSatisfy({ (0x30...0x39).contains($0) }), let count = Int(parts[0]),
            count > 0, let unit = Self.units.first(where: { $0.name == parts[1] }),
            count <= Self.maximum * unit.seconds
        else { return nil }
        self.count = count
        self.seconds = unit.seconds
    }

    /// The rate in calls per second.
    package var perSecond: Double { Double(count) / Double(seconds) }

    /// The number of tokens, which is the maximum number of calls that can start at once.
    package var burst: Int { max(1, Int((perSecond / Self.burstsPerSecond).rounded(.up))) }

    /// The time until a spent token becomes available again.
    ///
    /// One millisecond is subtracted: no broker and worker together pass on and spend a token faster than that.
    package var tokenLifetime: Duration {
        .milliseconds(Int(Double(burst) / perSecond * 1000) - 1)
    }

    /// The rate in the form that ``init(_:)`` parses.
    public var description: String { "\(count)/\(Self.units.first { $0.seconds == seconds }?.name ?? "s")" }
}

/// The identity of a rate limit: a name that several flows share, or a single flow.
public enum RateLimitKey: Sendable, Hashable, CustomStringConvertible {
    /// A named limit, shared by all flows that name it.
    case shared(Name)
    /// The limit of a single flow.
    case flow(Name)

    /// Parses the wire form, `limit.<name>` or `flow.<flow>`; returns nil for anything else.
    public init?(_ text: String) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2, let name = Name(parts[1]) else { return nil }
        switch parts[0] {
        case "limit": self = .shared(name)
        case "flow": self = .flow(name)
        default: return nil
        }
    }

    /// The wire form of the key.
    package var text: String {
        switch self {
        case .shared(let name): "limit.\(name)"
        case .flow(let name): "flow.\(name)"
        }
    }

    /// The key for messages to users.
    public var description: String {
        switch self {
        case .shared(let name): "limit '\(name)'"
        case .flow(let name): "flow '\(name)'"
        }
    }
}

/// The rate limit that a flow's calls are subject to.
public struct FlowRateLimit: Sendable, Hashable {
    /// The identity of the limit.
    public var key: RateLimitKey
    /// The maximum rate of calls, or nil if flows with this key share only pauses.
    public var rate: RateLimit?

    /// Creates a limit.
    public init(key: RateLimitKey, rate: RateLimit? = nil) {
        self.key = key
        self.rate = rate
    }
}

/// The tasks of a batch that workers hold back because of a rate limit.
public struct RateLimitWait: Sendable, Equatable {
    /// The limit.
    public var key: RateLimitKey
    /// The number of waiting tasks.
    public var tasks: Int
    /// The end of the service's pause, or nil if the tasks wait for the rate only.
    public var until: Timestamp?

    /// Creates a wait.
    package init(key: RateLimitKey, tasks: Int, until: Timestamp? = nil) {
        self.key = key
        self.tasks = tasks
        self.until = until
    }

    /// Combines the waits of two workers.
    package func joined(with other: RateLimitWait) -> RateLimitWait {
        let ends = [until, other.until].compactMap(\.self)
        return RateLimitWait(key: other.key, tasks: tasks + other.tasks, until: ends.max())
    }

    /// The wait as a JSON object, as in progress messages and heartbeats.
    package var json: JSONValue {
        ["limit": .string(key.text), "tasks": .integer(tasks), "until": .optional(until?.description)]
    }

    /// Decodes a wait; returns nil if the JSON is not one.
    package init?(json: JSONValue) {
        guard let key = json["limit"]?.stringValue.flatMap({ RateLimitKey($0) }), let tasks = json["tasks"]?.intValue,
            (1...BatchState.maximumTasks).contains(tasks)
        else { return nil }
        self.init(key: key, tasks: tasks, until: json["until"]?.stringValue.flatMap { Timestamp($0) })
    }
}
