import SheafBroker
import SheafCore

extension SQLTransaction {
    /// Moves a message to its queue's dead letters, or drops it where there are none.
    func bury(_ key: Int64, from queue: QueueRow, reason: String) throws {
        switch queue.deadLetter {
        case .queue(let name):
            guard let target = try QueueRow.named(name, in: self) else { break }
            if let lifetime = target.lifetime {
                if let message = try dead(key, queue, reason) { try wait(message, for: lifetime, in: target) }
                break
            }
            // The first death is the one that tells; a second one keeps it.
            let copy = try statement(
                """
                INSERT INTO message (key, \(MessageColumns.all))
                SELECT ?, \(MessageColumns.list), COALESCE(death_reason, ?), COALESCE(death_queue, ?)
                FROM message WHERE key = ?
                """
            )
            copy.bind(Place.key(target.id, target.next), at: 1)
            copy.bind(reason, at: 2)
            copy.bind(queue.name, at: 3)
            copy.bind(key, at: 4)
            if try copy.run() > 0 { try run("UPDATE queue SET next = next + 1 WHERE id = ?", target.id) }
        case .log(let name):
            guard let log = try LogRow.named(name, in: self), let message = try dead(key, queue, reason) else { break }
            try append([message], to: log)
        case nil: break
        }
        try run("DELETE FROM message WHERE key = ?", key)
    }

    /// A message with the headers that say how it died.
    private func dead(_ key: Int64, _ queue: QueueRow, _ reason: String) throws -> Message? {
        let select = try statement("SELECT \(MessageColumns.all) FROM message WHERE key = ?")
        select.bind(key, at: 1)
        guard try select.step() else { return nil }
        defer { select.reset() }
        var message = try MessageColumns.read(select, from: 0)
        let death = Delivery.Death(
            reason: select.optionalText(5) ?? reason,
            queue: select.optionalText(6) ?? queue.name
        )
        message.headers.removeAll { $0.name == "x-first-death-reason" || $0.name == "x-first-death-queue" }
        message.headers += [
            Message.Header("x-first-death-reason", .string(death.reason)),
            Message.Header("x-first-death-queue", .string(death.queue)),
        ]
        return message
    }
}
