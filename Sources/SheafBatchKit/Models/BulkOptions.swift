import SheafFlows
import SheafProviders

/// Whether requests are sent one by one, or together through the provider's batch API.
public enum BatchMode: Sendable {
    /// Each request is sent by itself, and answered at once.
    case live
    /// Requests are sent together, for about half the price, and answered within hours.
    case bulk(BulkOptions = BulkOptions())
}

/// How requests are sent together; the same as the keys of `bulk` in `sheaf.yaml`.
public struct BulkOptions: Sendable, Equatable {
    /// The longest time between two looks at a submission; at least 100 ms.
    public var waitTime: Duration
    /// The number of requests with which a submission starts at the latest; nil means the provider's limit.
    public var queueThreshold: Int?
    /// How many tokens the provider accepts in all submissions that have not ended; nil means any number.
    public var maxEnqueuedTokens: Int?
    /// The age after which a request is sent by itself, at the full price; nil means never.
    public var liveAfter: Duration?

    /// Creates options.
    public init(
        waitTime: Duration = .seconds(60),
        queueThreshold: Int? = nil,
        maxEnqueuedTokens: Int? = nil,
        liveAfter: Duration? = nil
    ) {
        self.waitTime = max(waitTime, .milliseconds(100))
        self.queueThreshold = queueThreshold.map { max(1, $0) }
        self.maxEnqueuedTokens = maxEnqueuedTokens.map { max(1, $0) }
        self.liveAfter = liveAfter
    }

    /// Returns the flow that submits the requests of a flow.
    func flow(_ flow: any ModelFlow, to format: ChatProvider) -> SubmissionFlow {
        var thresholds = SubmissionThresholds()
        thresholds.tasks = queueThreshold
        thresholds.tokens = maxEnqueuedTokens
        thresholds.liveAge = liveAfter
        let batches: any BatchProvider =
            switch format {
            case .openai: OpenAIBatches(flow)
            case .azure: OpenAIBatches(flow, dialect: .azure, limits: OpenAIBatches.azureLimits)
            case .anthropic: AnthropicBatches(flow)
            case .gemini: GeminiBatches(flow)
            case .mistral: MistralBatches(flow)
            case .vertex: VertexBatches(flow)
            case .bedrock: BedrockBatches(flow)
            }
        return SubmissionFlow(batches, thresholds: thresholds, pace: SubmissionPace(longest: waitTime))
    }
}
