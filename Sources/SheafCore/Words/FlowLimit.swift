/// What a flow's calls share with those of others.
public struct FlowLimit: Sendable, Hashable {
    /// By what it is shared.
    public var key: LimitKey
    /// How many calls may begin in a time, or nil where only pauses are shared.
    public var rate: RateLimit?

    /// Makes a limit.
    public init(key: LimitKey, rate: RateLimit? = nil) {
        self.key = key
        self.rate = rate
    }
}
