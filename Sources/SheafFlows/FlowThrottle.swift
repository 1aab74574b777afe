/// A service that a flow calls wants to be left alone for a while: thrown by a flow instead of a ``FlowError``.
///
/// The call does not count as an attempt, and whoever shares the flow's limit waits too.
public struct FlowThrottle: Error, Sendable, Equatable {
    /// How long the service wants to be left alone; nil where it did not say.
    public var delay: Duration?
    /// What the service said, for people.
    public var message: String

    /// Makes one.
    public init(delay: Duration? = nil, message: String) {
        self.delay = delay
        self.message = message
    }
}
