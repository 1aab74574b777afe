import SheafBatches
import SheafBroker
import SheafCore
import SheafFlows

/// A task that a slot has to do with, and what is known of its flow and its batch.
struct Assignment: Sendable {
    @Boxed var task: BatchTask
    /// How it came here.
    let item: InboxItem
    @Boxed var definition: FlowDefinition
    @Boxed var record: BatchInfo
    /// The journal's revision from which the record is, or an earlier one.
    let revision: Int

    init(
        _ task: BatchTask,
        _ item: InboxItem,
        _ definition: Boxed<FlowDefinition>,
        _ record: Boxed<BatchInfo>,
        revision: Int
    ) {
        _task = Boxed(wrappedValue: task)
        self.item = item
        _definition = definition
        _record = record
        self.revision = revision
    }

    /// How many attempts at it there are with the one that is made now.
    var attempts: Int { task.attempt + item.delivery.earlierDeliveries }

    /// How many tasks of its batch its flow may be handed at once; nil where each is to begin by itself, because it waits for a
    /// permit, a limit or a person, or because it may be what ended a worker.
    var groupSize: Int? {
        guard let flow = definition.serialFlow, definition.rateLimit == nil, item.batch != nil, item.permit == nil,
            record.maxRunning == nil, !record.options.isInteractive
        else { return nil }
        return flow.groupSize
    }

    /// Whether its batch is over, or of a later generation, so that nobody waits for its outcome.
    var isOver: Bool { record.ending != nil || record.cancelled != nil || task.generation < record.oldestQueue }

    /// Whether its batch lets it begin: one that was fetched before the batch was capped has no permit.
    var mayRun: Bool {
        record.isRunnable && (record.maxRunning == nil || item.permit != nil || item.batch == nil)
    }
}
