import SheafBroker

/// A queue's kind as the columns of its row: the limit is null for tokens, the lifetime for all but waiting rooms.
extension QueueDeclaration {
    var deliveryLimit: Int? {
        if case .work(let limit, _, _) = kind { limit } else { nil }
    }

    var deadLetter: DeadLetterTarget? {
        switch kind {
        case .work(_, let target, _), .tokens(let target): target
        case .waitingRoom(_, let queue): .queue(queue)
        }
    }

    var acceptsDelayed: Bool {
        if case .work(_, _, let acceptsDelayed) = kind { acceptsDelayed } else { false }
    }

    var lifetime: Duration? {
        if case .waitingRoom(let lifetime, _) = kind { lifetime } else { nil }
    }
}
