package import SheafCore

/// Tells which batches are without a creator for so long that none is to be expected.
///
/// A creator that loses its connection loses the lock that shows it, and takes it again as soon as the broker is there.
package struct LastingInterruptions {
    private var since: [Name: ContinuousClock.Instant] = [:]

    package init() {}

    /// How long a creator may not be seen; longer than it pauses between two tries to connect.
    package static let patience = Duration.seconds(10)

    /// Notes whether a batch has no creator at the moment; true where that has lasted.
    package mutating func note(_ batch: Name, isInterrupted: Bool, at now: ContinuousClock.Instant = .now) -> Bool {
        guard isInterrupted else {
            since[batch] = nil
            return false
        }
        let first = since[batch] ?? now
        since[batch] = first
        return now - first >= Self.patience
    }
}
