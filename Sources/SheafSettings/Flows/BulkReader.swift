import SheafCore
import SheafFlows
import SheafProviders

/// Reads `bulk` of a flow that asks a model: whether and how its requests are submitted through a batch API.
enum BulkReader {
    static let key = "bulk"

    private static let keys = [
        "queue_threshold", "time_threshold", "time_interval", "wait_time", "max_bytes", "max_enqueued_tokens",
        "fallback", "after",
    ]
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
        if let member = keys["max_enqueued_tokens"] { thresholds.tokens = try tokens(member) }
        thresholds.liveAge = try liveAge(keys["fallback"], keys["after"])
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
        case .vertex: (VertexBatches.limits, "1GB", { VertexBatches($0, limits: $1) })
        case .bedrock: (BedrockBatches.limits, "1GB", { BedrockBatches($0, limits: $1) })
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

    /// Reads a number of tokens, such as 500000, 200k, 2M or 30G.
    private static func tokens(_ member: SettingsReader) throws(SettingsError) -> Int {
        let rule = "a number of tokens such as 2000000, 200k or 2M"
        let text = try member.text(rule)
        let factors: [Character: Int] = ["k": 1_000, "K": 1_000, "M": 1_000_000, "G": 1_000_000_000]
        let factor = text.last.flatMap { factors[$0] }
        let digits = factor == nil ? text[...] : text.dropLast()
        guard digits.allSatisfy({ $0.isASCII && $0.isNumber }), let count = Int(digits), count > 0,
            case let (tokens, isTooMany) = count.multipliedReportingOverflow(by: factor ?? 1), !isTooMany
        else { throw member.expected(rule) }
        return tokens
    }

    /// Reads after which time tasks run live; nil if they never do.
    private static func liveAge(
        _ fallback: SettingsReader?,
        _ after: SettingsReader?
    ) throws(SettingsError) -> Duration? {
        guard let fallback else {
            if let after { throw after.error("it has no effect without 'fallback: live'") }
            return nil
        }
        let rule = "live: the tasks run by themselves once they have waited as long as 'after' says"
        guard try fallback.text(rule) == "live" else { throw fallback.expected(rule) }
        guard let after else { throw fallback.error("'after' is missing, the time after which tasks run live") }
        let age = try after.duration()
        guard age > .zero else { throw after.expected("a duration such as 20h") }
        return age
    }

    private static func waitTime(_ member: SettingsReader?) throws(SettingsError) -> Duration {
        guard let member else { return defaultWaitTime }
        let time = try member.duration()
        if time < shortestWaitTime { throw member.error("less than 100ms would ask the provider without a pause") }
        return time
    }
}
