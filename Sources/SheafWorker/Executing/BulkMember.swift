import SheafBatches
import SheafBroker
import SheafCore
import SheafFlows

/// A task of a bulk: the little that is kept in memory of each while the bulk waits for its provider.
struct BulkMember: Sendable {
    /// What the tasks of a bulk have in common.
    private final class Common: Sendable {
        let batch: Name
        let definition: Boxed<FlowDefinition>
        let info: Boxed<BatchInfo>
        let revision: Int

        init(_ assignment: Assignment) {
            batch = assignment.task.batch
            definition = assignment.definitionReference
            info = assignment.infoReference
            revision = assignment.revision
        }
    }

    /// How the task came here.
    let delivery: TaskDelivery
    /// Its number within its batch.
    let index: Int
    /// Its generation.
    let generation: Int
    private let common: Common

    /// Keeps what is needed of an assignment, whose delivery may have another form now.
    ///
    /// - Parameter other: A task of the same bulk; nil for the first.
    init(_ assignment: Assignment, _ delivery: TaskDelivery, like other: BulkMember? = nil) {
        self.delivery = delivery
        index = assignment.task.index
        generation = assignment.task.generation
        common = other?.common ?? Common(assignment)
    }

    /// Its batch.
    var batch: Name { common.batch }
    /// Its flow.
    var definition: FlowDefinition { common.definition.wrappedValue }
    /// The journal's revision when its batch was looked up.
    var revision: Int { common.revision }

    /// Loads the assignment; throws if that is impossible.
    func assignment() throws(FlowError) -> Assignment {
        let message = try delivery.message()
        do {
            let task = try BatchTask(message)
            return Assignment(task, delivery, common.definition, common.info, revision: common.revision)
        } catch {
            throw FlowError(type: "spool", message: "a task of a bulk has changed: \(error)", isRetryable: true)
        }
    }
}
