import SheafBroker
import SheafCore

extension QueueDeclaration {
    /// The queue of a batch's tasks; what comes back too often becomes a suspect.
    static func tasks(of batch: Name, flow: Name, redo: Int, _ names: WireNames) -> QueueDeclaration {
        QueueDeclaration(
            name: names.tasks(flow: flow, batch: batch, redo: redo),
            deliveryLimit: 3,
            deadLetter: .queue(names.suspects(flow: flow)),
            acceptsDelayed: true
        )
    }

    /// The queue of a flow's suspects; what takes its worker down even alone is given up.
    static func suspects(of flow: Name, _ names: WireNames) -> QueueDeclaration {
        QueueDeclaration(name: names.suspects(flow: flow), deliveryLimit: 2, deadLetter: .log(names.dead))
    }
}
