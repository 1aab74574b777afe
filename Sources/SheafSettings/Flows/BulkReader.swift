import SheafCore
import SheafFlows
import SheafProviders

/// Reads `bulk` of a flow that asks a model: whether and how its requests are submitted through a batch API.
enum BulkReader {
    static let key = "bulk"

    private static let keys = ["queue_threshold", "time_threshold", "time_interval", "wait_time", "max_bytes"]
    private static let defaultWaitTime = Duration.seconds(60)
    private static let shortestWaitTime = Duration.milliseconds(100)

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
        let (defaults, largest, batches) = Self.batches(provider)
        var limits = defaults
        var thresholds = SubmissionThresholds()
        thresholds.tasks = try keys["queue_threshold"]?.int(in: 1...limits.requests)
        if let member = keys["time_threshold"] { thresholds.age = try member.duration() }
        if let member = keys["time_interval"] { thresholds.interval = try member.duration() }
        if let member = keys["max_bytes"] { limits.bytes = try size(member, largest) }
        return SubmissionFlow(
            batches(flow, limits),
            thresholds: thresholds,
            pace: SubmissionPace(longest: try waitTime(keys["wait_time"]))
        )
    }

    private typealias Batches = (any ModelFlow, BatchLimits) -> any BatchProvider

    /// Returns the limits of a provider's submissions, the most bytes that it accepts, and what makes its client.
    private static func batches(
        _ provider: ChatProvider
    ) -> (limits: BatchLimits, largest: String, make: Batches) {
        switch provider {
        case .openai: (OpenAIBatches.limits, "200MB", { OpenAIBatches($0, limits: $1) })
        case .azure: (OpenAIBatches.azureLimits, "200MB", { OpenAIBatches($0, dialect: .azure, limits: $1) })
        case .anthropic: (AnthropicBatches.limits, "256MB", { AnthropicBatches($0, limits: $1) })
        case .gemini: (GeminiBatches.limits, "2GB", { GeminiBatches($0, limits: $1) })
        case .mistral: (MistralBatches.limits, "512MB", { MistralBatches($0, limits: $1) })
        }
    }

    private static func size(_ member: SettingsReader, _ largest: String) throws(SettingsError) -> Int {
        guard let size = SizeText.parse(try member.text(SizeText.rule)), size > 0 else {
            throw member.expected(SizeText.rule)
        }
        if let limit = SizeText.parse(largest), size > limit {
            throw member.error("more than \(largest), the most that the provider accepts")
        }
        return size
    }

    private static func waitTime(_ member: SettingsReader?) throws(SettingsError) -> Duration {
        guard let member else { return defaultWaitTime }
        let time = try member.duration()
        if time < shortestWaitTime { throw member.error("less than 100ms would ask the provider without a pause") }
        return time
    }
}
