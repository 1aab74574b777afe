/// What the results of a batch amount to at one moment.
public struct BatchProgress: Sendable, Equatable {
    /// The batch.
    public var batch: Name
    /// The total, or the total so far.
    public var total: Int
    /// Whether the total is final.
    public var isSealed: Bool
    /// How tasks ended.
    public var settled: BatchState.Settled
    /// How many tasks workers say they are running.
    public var running: Int
    /// When the first task began.
    public var startedAt: Timestamp?
    /// The offset of the results log up to which this counts.
    public var offset: Int64
    /// Where the newest checkpoint stands in the results log, or nil where there is none.
    public var checkpoint: Int64?
    /// How many tasks are neither settled nor anywhere else: the broker has lost them.
    public var missing: Int
    /// Whether the results log does not begin with its first entry any more, so that outcomes are not counted.
    public var isTrimmed: Bool
    /// How many tasks workers hold back because of a limit, or nil where there are none.
    public var limited: RateLimitWait?
    /// What the tasks took that succeeded, all together.
    public var usage: Usage

    /// Makes a progress.
    public init(
        batch: Name,
        total: Int,
        isSealed: Bool,
        settled: BatchState.Settled,
        running: Int,
        startedAt: Timestamp?,
        offset: Int64,
        checkpoint: Int64? = nil,
        missing: Int = 0,
        isTrimmed: Bool = false,
        limited: RateLimitWait? = nil,
        usage: Usage = Usage()
    ) {
        self.batch = batch
        self.total = total
        self.isSealed = isSealed
        self.settled = settled
        self.running = running
        self.startedAt = startedAt
        self.offset = offset
        self.checkpoint = checkpoint
        self.missing = missing
        self.isTrimmed = isTrimmed
        self.limited = limited
        self.usage = usage
    }

    /// Sums up a state.
    public init(batch: Name, state: BatchState, running: Int, offset: Int64) {
        let settled = state.settled
        self.init(
            batch: batch,
            total: state.sealedTotal ?? max(state.published, settled.count),
            isSealed: state.sealedTotal != nil,
            settled: settled,
            running: running,
            startedAt: state.startedAt,
            offset: offset,
            usage: state.usage
        )
    }

    /// The progress as a JSON object.
    public var json: JSONValue {
        [
            "batch": .string(batch.text), "total": .integer(total), "sealed": .bool(isSealed),
            "succeeded": .integer(settled.succeeded), "failed": .integer(settled.failed),
            "invalid": .integer(settled.invalid), "running": .integer(running),
            "started_at": .optional(startedAt?.description), "offset": .integer(offset),
            "checkpoint": checkpoint.map { .integer($0) } ?? .null, "missing": .integer(missing),
            "trimmed": .bool(isTrimmed), "limited": limited?.json ?? .null, "usage": usage.json,
        ]
    }

    /// Reads a progress; nil where it is none.
    public init?(json: JSONValue) {
        guard let batch = json["batch"]?.stringValue.flatMap({ Name($0) }), json["total"]?.intValue != nil else {
            return nil
        }
        self.init(
            batch: batch,
            total: json.count("total"),
            isSealed: json["sealed"]?.boolValue ?? false,
            settled: BatchState.Settled(
                succeeded: json.count("succeeded"),
                failed: json.count("failed"),
                invalid: json.count("invalid")
            ),
            running: json.count("running"),
            startedAt: json["started_at"]?.stringValue.flatMap { Timestamp($0) },
            offset: Int64(json["offset"]?.intValue ?? 0),
            checkpoint: json["checkpoint"]?.intValue.map { Int64($0) },
            missing: json["missing"]?.intValue ?? 0,
            isTrimmed: json["trimmed"]?.boolValue ?? false,
            limited: json["limited"].flatMap { RateLimitWait(json: $0) },
            usage: Usage(json: json["usage"])
        )
    }
}
