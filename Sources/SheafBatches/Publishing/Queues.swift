import SheafBroker
import SheafCore

extension QueueDeclaration {
    private static let returnsOfTasks = 3
    private static let returnsOfSuspects = 2
    /// How often a task is delivered before it is given up: once more than it may come back, in each of the two queues.
    static let deliveriesBeforeDeath = returnsOfTasks + 1 + returnsOfSuspects + 1

    /// The queue of a batch's tasks; what comes back too often becomes a suspect.
    static func tasks(of batch: Name, flow: Name, generation: Int, _ names: WireNames) -> QueueDeclaration {
        QueueDeclaration(
            name: names.tasks(flow: flow, batch: batch, generation: generation),
            kind: .work(
                deliveryLimit: returnsOfTasks,
                deadLetter: .queue(names.suspects(flow: flow)),
                acceptsDelayed: true
            )
        )
    }

    /// The queue of a flow's suspects; what takes its worker down even alone is given up.
    static func suspects(of flow: Name, _ names: WireNames) -> QueueDeclaration {
        QueueDeclaration(
            name: names.suspects(flow: flow),
            kind: .work(deliveryLimit: returnsOfSuspects, deadLetter: .log(names.dead))
        )
    }
}
