import SheafCore
import SheafFlows

extension TaskSlot {
    /// What brings a task's questions to people; nil where its batch is not interactive.
    func asker(of task: BatchTask, _ definition: FlowDefinition) -> TaskAsker? {
        guard journal[task.batch]?.options.isInteractive == true else { return nil }
        return TaskAsker(
            client: client,
            task: task,
            worker: worker,
            timeout: definition.answerTimeout,
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
