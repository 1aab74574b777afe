import Synchronization

/// The latest of many values, kept where concurrent code can see it.
final class Latest<Value: Sendable>: Sendable {
    private let stored = Mutex<Value?>(nil)

    /// The value, if there was one.
    var value: Value? { stored.withLock { $0 } }

    /// Notes a value.
    func note(_ value: Value) { stored.withLock { $0 = value } }
}
