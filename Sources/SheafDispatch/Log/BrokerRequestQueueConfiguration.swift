import SheafBatches
package import SheafCore

/// How the broker's request queue works.
public struct BrokerRequestQueueConfiguration: Sendable {
    /// The field of requests that keeps them apart, such as a tenant or a model; nil means that all may share a batch.
    public var key: String?
    /// How many requests may wait; nil means any number.
    public var maxWaiting: Int?
    /// The number of requests after which the next log is begun.
    package var logCount = 100_000
    /// The number of bytes after which the next log is begun.
    package var logBytes = 256 << 20
    /// How many of the newest requests are known, in order to drop repeats.
    package var window = RepeatWindow.standardSize
    /// How often old logs may be deleted.
    package var deletionInterval = Duration.seconds(60)
    /// The clock of this process.
    package var clock: @Sendable () -> Timestamp = { .now }

    /// Creates a configuration.
    public init(key: String? = nil, maxWaiting: Int? = nil) {
        self.key = key
        self.maxWaiting = maxWaiting
    }
}
