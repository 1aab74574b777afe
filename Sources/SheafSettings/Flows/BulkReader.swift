import SheafCore
import SheafFlows
import SheafProviders

/// Reads `bulk` of a flow that asks a model: whether and how its requests are submitted through a batch API.
enum BulkReader {
    static let key = "bulk"

    private static let keys = ["queue_threshold", "time_threshold", "time_interval", "wait_time", "max_bytes"]
    private static let defaultWaitTime = Duration.seconds(60)
    private static let shortestWaitTime = Duration.milliseconds(100)
    private static let largestSubmission = 200_000_000

    /// Returns the flow that submits the requests of a flow; the same flow if its entry has no `bulk`.
    static func flow(
        _ flow: any ModelFlow,
        of provider: ChatProvider,
        _ entry: FlowEntry
    ) throws(SettingsError) -> any Flow {
        guard let bulk = entry.members[key] else { return flow }
        var keys: [String: SettingsReader] = [:]
        if case .mapping = bulk.node.value {
            keys = try bulk.members(knowing: Self.keys)
        } else {
            guard case .scalar = bulk.node.value, let isOn = try? bulk.bool() else {
                throw bulk.expected("true, false or a map, such as { queue_threshold: 10000 }")
            }
            if !isOn { return flow }
        }
        if provider != .openai {
            throw bulk.error("only provider: openai, and services with the same API, can run tasks in bulk")
        }
        var limits = OpenAIBatches.limits
        var thresholds = SubmissionThresholds()
        thresholds.tasks = try keys["queue_threshold"]?.int(in: 1...limits.requests)
        if let member = keys["time_threshold"] { thresholds.age = try member.duration() }
        if let member = keys["time_interval"] { thresholds.interval = try member.duration() }
        if let member = keys["max_bytes"] { limits.bytes = try size(member) }
        return SubmissionFlow(
            OpenAIBatches(flow, limits: limits),
            thresholds: thresholds,
            pace: SubmissionPace(longest: try waitTime(keys["wait_time"]))
        )
    }

    private static func size(_ member: SettingsReader) throws(SettingsError) -> Int {
        guard let size = SizeText.parse(try member.text(SizeText.rule)), size > 0 else {
            throw member.expected(SizeText.rule)
        }
        if size > largestSubmission { throw member.error("more than 200MB, which no provider accepts") }
        return size
    }

    private static func waitTime(_ member: SettingsReader?) throws(SettingsError) -> Duration {
        guard let member else { return defaultWaitTime }
        let time = try member.duration()
        if time < shortestWaitTime { throw member.error("less than 100ms would ask the provider without a pause") }
        return time
    }
}
