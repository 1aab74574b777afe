import SheafBatches
import SheafCore
import SheafFlows

extension TaskSlot {
    /// What brings the questions of a task of an interactive batch to people.
    func asker(of assignment: Assignment) -> TaskAsker {
        TaskAsker(
            client: client,
            task: assignment.task,
            worker: worker,
            timeout: assignment.definition.answerTimeout,
            state: state,
            prompter: prompter
        )
    }

    /// Gives a task back that waits for a person, because the worker leaves; its question stays open.
    func leaveUnanswered(_ task: BatchTask, _ item: InboxItem) async throws {
        state.end(batch: task.batch, index: task.index)
        try await giveBack([item])
    }
}
