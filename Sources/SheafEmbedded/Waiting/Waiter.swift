import SheafBroker

/// Somebody who waits for a condition.
struct Waiter {
    /// What for.
    let condition: WakeCondition
    /// Ends the waiting.
    let continuation: CheckedContinuation<Void, any Error>
}
