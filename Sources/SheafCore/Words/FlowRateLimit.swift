/// What a flow's calls share with those of others.
public struct FlowRateLimit: Sendable, Hashable {
    /// By what it is shared.
    public var key: RateLimitKey
    /// How many calls may begin in a time, or nil where only pauses are shared.
    public var rate: RateLimit?

    /// Makes a limit.
    public init(key: RateLimitKey, rate: RateLimit? = nil) {
        self.key = key
        self.rate = rate
    }
}
