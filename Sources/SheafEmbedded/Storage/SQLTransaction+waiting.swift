import SheafBroker
import SheafCore

/// Queues in which messages wait for a time on their way to another.
extension SQLTransaction {
    /// Keeps a message for the queue behind a waiting room until its time has passed; nothing stays in the room itself.
    func wait(_ message: Message, for lifetime: Int64, in room: QueueRow) throws {
        guard case .queue(let name) = room.deadLetter, let target = try QueueRow.named(name, in: self) else { return }
        // One more, because the moment that is now lies within its millisecond.
        try delay(message, for: target, until: clock.now + lifetime + 1)
    }

    /// Keeps a message for a queue until `due`, by the clock of the file.
    func delay(_ message: Message, for queue: QueueRow, until due: Int64) throws {
        let insert = try statement(
            "INSERT INTO delayed (queue, due, \(MessageColumns.list)) VALUES (?, ?, ?, ?, ?, ?, ?)"
        )
        insert.bind(queue.id, at: 1)
        insert.bind(due, at: 2)
        try MessageColumns.run(insert, with: message, from: 3)
        // After a restart of the machine the time goes on from here at the earliest, so the delay can not grow.
        try clock.note(in: self)
    }
}
