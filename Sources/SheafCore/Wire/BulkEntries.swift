/// An entry of a results log about a bulk: tasks that a flow runs as one job of a provider.
///
/// A bulk exists as long as a task is leased to it. Its turn is the number of times that it was handed over.
package struct BulkEvent: Sendable, Equatable {
    package enum Action: Sendable, Equatable {
        /// The bulk has all its tasks, and its flow runs next: from now on a task may be what ends the worker.
        case begun
        /// The flow has set a memo, which is the body of the entry.
        case remembered
        /// The bulk waits in its queue for the next worker, as a message with a ``BulkHandOver``.
        case offered
        /// A worker, named as in its lock, has taken the bulk over.
        case adopted(worker: String)
    }

    /// The id of the bulk.
    package var bulk: String
    /// The turn in which this happened; that of an offer is the next one, which begins with it.
    package var turn: Int
    package var action: Action

    package init(bulk: String, turn: Int, _ action: Action) {
        self.bulk = bulk
        self.turn = turn
        self.action = action
    }

    package static let begunType = "begun"
    package static let rememberedType = "remembered"
    package static let offeredType = "offered"
    package static let adoptedType = "adopted"

    /// Decodes an entry; returns nil if the message is not one.
    package init?(_ message: Message) {
        guard let bulk = message.string("sheaf-bulk"), bulk.utf8.count <= TaskLease.longestID,
            let turn = message.integer("sheaf-turn"), (0..<BatchState.maximumTasks).contains(turn)
        else { return nil }
        switch message.type {
        case Self.begunType: self.init(bulk: bulk, turn: turn, .begun)
        case Self.rememberedType: self.init(bulk: bulk, turn: turn, .remembered)
        case Self.offeredType: self.init(bulk: bulk, turn: turn, .offered)
        case Self.adoptedType:
            guard let worker = message.string("sheaf-worker"), worker.utf8.count <= TaskLease.longestID else {
                return nil
            }
            self.init(bulk: bulk, turn: turn, .adopted(worker: worker))
        default: return nil
        }
    }

    /// Encodes the entry for the results log of a batch; `memo` is what the flow wants to have remembered.
    package func message(of batch: Name, memo: [UInt8] = []) -> Message {
        var message = Message(headers: [
            .init("sheaf-batch", .string(batch.text)),
            .init("sheaf-bulk", .string(bulk)),
            .init("sheaf-turn", .integer(Int64(turn))),
        ])
        switch action {
        case .begun: message.type = Self.begunType
        case .remembered:
            message.type = Self.rememberedType
            message.contentType = "application/octet-stream"
            message.body = memo
        case .offered: message.type = Self.offeredType
        case .adopted(let worker):
            message.type = Self.adoptedType
            message.headers.append(.init("sheaf-worker", .string(worker)))
        }
        return message
    }
}

/// Two more headers of a task that stands for its whole bulk, which its receiver may adopt in this turn.
package struct BulkHandOver: Sendable, Hashable {
    package var bulk: String
    package var turn: Int

    package init(bulk: String, turn: Int) {
        self.bulk = bulk
        self.turn = turn
    }

    /// Decodes the headers; returns nil if the message is an ordinary task.
    package init?(_ message: Message) {
        guard let bulk = message.string("sheaf-bulk"), let turn = message.integer("sheaf-turn") else { return nil }
        self.init(bulk: bulk, turn: turn)
    }

    /// Encodes a task that stands for its bulk.
    package func message(of task: BatchTask) -> Message {
        var message = task.message
        message.headers.append(.init("sheaf-bulk", .string(bulk)))
        message.headers.append(.init("sheaf-turn", .integer(Int64(turn))))
        return message
    }
}
