import Logging
import SheafBatches
import SheafCore
import SheafFlows

extension TaskSlot {
    /// Pauses the flow's limit for everybody, and lets the task wait for its end as if it had never begun.
    func waitForService(
        _ assignment: Assignment,
        _ throttle: FlowThrottle,
        begun start: ContinuousClock.Instant
    ) async throws {
        let (task, key) = (assignment.task, assignment.definition.rateLimitKey)
        client.logger.info("task \(task.id) waits, as the service wants \(key) to: \(throttle.message)")
        try await book.pause(key, for: throttle, begun: start)
        state.end(batch: task.batch, index: task.index)
        try await putOff(assignment.item)
    }

    /// Puts tasks back into the inbox that have not begun after all.
    func putBack(_ assignments: [Assignment]) async throws {
        if assignments.isEmpty { return }
        state.withdraw(assignments)
        for assignment in assignments.reversed() { inbox.putBack(assignment.item) }
        guard state.isLeaving else { return }
        let tokens = Set(assignments.map(\.item.token))
        try await giveBack(inbox.drain { tokens.contains($0.token) })
    }

    /// Puts a task back into the inbox, where it waits for its limit.
    func putOff(_ item: InboxItem) async throws {
        if let limit = item.limit { inbox.close(limit) }
        inbox.putBack(item)
        // Should the pause have ended just now, the gate has to open once more.
        book.nudge()
        guard state.isLeaving else { return }
        // Whoever empties the inbox for the end may have done so before.
        try await giveBack(inbox.drain { $0.token == item.token })
    }
}
