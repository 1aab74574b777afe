import SheafBroker

/// Who receives: a session and one of its consumers (0 for single messages).
struct LeaseHolder: Sendable, Equatable {
    /// The number of the session, never used twice in a file.
    let session: Int64
    /// The number of the consumer within the session.
    let consumer: Int64
}

/// A message that was delivered and is not settled.
struct Lease {
    /// The message's key.
    let key: Int64
    /// The consumer within the session.
    let consumer: Int64
    /// How often it was delivered before.
    let deliveries: Int64
}

/// What came of settling: how many deliveries of each consumer ended.
typealias SettledCounts = [Int64: Int]
