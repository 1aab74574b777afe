import Synchronization

/// The largest of many numbers.
final class Peak: Sendable {
    private let most = Mutex(0)

    /// The largest so far, or 0.
    var value: Int { most.withLock { $0 } }

    /// Adds a number.
    func note(_ number: Int) { most.withLock { $0 = max($0, number) } }
}
