import Logging
import SheafCore
import SheafFlows
import Synchronization

extension TaskSlot {
    /// Pauses the flow's limit for everybody, and lets the task wait for its end as if it had never begun.
    func waitForService(
        _ task: BatchTask,
        _ item: InboxItem,
        _ definition: FlowDefinition,
        _ throttle: FlowThrottle,
        begun start: ContinuousClock.Instant
    ) async throws {
        client.logger.info("task \(task.id) waits, as the service wants \(definition.limitKey) to: \(throttle.message)")
        try await book.pause(definition.limitKey, for: throttle, begun: start)
        state.end(batch: task.batch, index: task.index)
        try await putOff(item)
    }

    /// Puts a task back into the inbox, where it waits for its limit.
    func putOff(_ item: InboxItem) async throws {
        if let limit = item.limit { inbox.close(limit) }
        inbox.putBack(item)
        // Should the pause have ended just now, the gate has to open once more.
        book.nudge()
        guard state.isLeaving else { return }
        // Whoever empties the inbox for the end may have done so before.
        try await giveBack(inbox.drain { $0.delivery.token == item.delivery.token })
    }
}

/// Tells whether a flow was told to leave the service alone, which an attempt hands on as any other error.
final class ThrottleHeed: Flow {
    private let flow: any Flow
    private let seen = Mutex<FlowThrottle?>(nil)

    init(_ flow: any Flow) { self.flow = flow }

    /// What the service said in this attempt.
    var throttle: FlowThrottle? { seen.withLock { $0 } }

    /// The definition with a flow that is listened to.
    func heeding(_ definition: FlowDefinition) -> FlowDefinition {
        var heeded = definition
        heeded.flow = self
        return heeded
    }

    func run(_ task: FlowTask) async throws -> FlowOutput {
        do {
            return try await flow.run(task)
        } catch {
            if let throttle = error as? FlowThrottle { seen.withLock { $0 = throttle } }
            throw error
        }
    }
}
