/// How the time of the file stands to that of a machine, as it is kept in the file.
struct ClockRow {
    /// Which start of the machine.
    let boot: String
    /// How far the time of the file is ahead of the uptime since that start.
    let ahead: Int64
    /// The time when it was last noted.
    let time: Int64
    /// What the clock on the wall said then.
    let wall: Int64

    /// What the file says; nil in one that has never been asked.
    static func read(in transaction: SQLTransaction) throws -> ClockRow? {
        try transaction.statement("SELECT boot, ahead, time, wall FROM clock").first { row in
            ClockRow(boot: row.text(0), ahead: row.integer(1), time: row.integer(2), wall: row.integer(3))
        }
    }

    /// Replaces what the file says.
    func write(in transaction: SQLTransaction) throws {
        let insert = try transaction.statement("INSERT OR REPLACE INTO clock VALUES (0, ?, ?, ?, ?)")
        insert.bind(boot, at: 1)
        insert.bind(ahead, at: 2)
        insert.bind(time, at: 3)
        insert.bind(wall, at: 4)
        try insert.run()
    }

    /// Notes the time; an earlier one than is there changes nothing.
    static func note(time: Int64, wall: Int64, in transaction: SQLTransaction) throws {
        try transaction.run("UPDATE clock SET time = ?1, wall = ?2 WHERE time < ?1", time, wall)
    }

    /// The time of the newest entry of any log, 0 where there is none.
    static func newestEntry(in transaction: SQLTransaction) throws -> Int64 {
        let select = try transaction.statement(
            "SELECT max(time) FROM log JOIN entry ON entry.key = (log.id << \(Place.bits)) + log.next - 1"
        )
        return try select.first { $0.optionalInteger(0) ?? 0 } ?? 0
    }
}
