import SheafBroker

/// A row of the table of sessions.
struct SessionRow: Sendable {
    /// Its number, which is never reused in a file.
    let id: Int64
    /// The name of the file that it keeps locked during its lifetime.
    let file: String
}

extension SQLTransaction {
    /// Registers a new session; its file must already be locked, or other processes would consider it dead.
    func register(file: String) throws -> Int64 {
        let insert = try statement("INSERT INTO session (file) VALUES (?) RETURNING id")
        insert.bind(file, at: 1)
        var id: Int64 = 0
        while try insert.step() { id = insert.integer(0) }
        return id
    }

    /// Returns all sessions.
    func sessions() throws -> [SessionRow] {
        let select = try statement("SELECT id, file FROM session")
        var rows: [SessionRow] = []
        while try select.step() { rows.append(SessionRow(id: select.integer(0), file: select.text(1))) }
        return rows
    }

    /// Returns messages that a session held to their queues, as after a lost connection, and deletes the session.
    func end(session: Int64) throws {
        let select = try statement("SELECT key, consumer, deliveries FROM leased WHERE session = ? ORDER BY key")
        select.bind(session, at: 1)
        var leases: [Lease] = []
        while try select.step() {
            leases.append(Lease(key: select.integer(0), consumer: select.integer(1), deliveries: select.integer(2)))
        }
        for lease in leases { try end(lease, as: .returned) }
        try run("DELETE FROM consumer WHERE session = ?", session)
        try run("DELETE FROM session WHERE id = ?", session)
    }

    /// Registers a consumer and returns its queue's number.
    func addConsumer(_ holder: LeaseHolder, of name: String) throws -> Int64 {
        let queue = try QueueRow.required(name, in: self)
        try run("INSERT INTO consumer VALUES (?, ?, ?)", holder.session, holder.consumer, queue.id)
        return queue.id
    }

    /// Deletes a consumer.
    func removeConsumer(_ holder: LeaseHolder) throws {
        try run("DELETE FROM consumer WHERE session = ? AND number = ?", holder.session, holder.consumer)
    }

    /// Completes deletions and purges of processes that were killed meanwhile.
    func sweep() throws {
        for id in try numbers("SELECT id FROM queue WHERE name IS NULL") { while try removeQueue(id) {} }
        for id in try numbers("SELECT id FROM log WHERE name IS NULL") { while try removeLog(id) {} }
        // A message below a queue's head is held, or waits to be delivered again, or was purged.
        for id in try numbers("SELECT id FROM queue WHERE head > 0") {
            try run(
                """
                DELETE FROM message WHERE key >= ? AND key < (SELECT (id << 40) + head FROM queue WHERE id = ?)
                AND key NOT IN (SELECT key FROM leased) AND key NOT IN (SELECT key FROM returned)
                """,
                Place.first(id),
                id
            )
        }
    }

    private func numbers(_ sql: String) throws -> [Int64] {
        let select = try statement(sql)
        var numbers: [Int64] = []
        while try select.step() { numbers.append(select.integer(0)) }
        return numbers
    }
}
