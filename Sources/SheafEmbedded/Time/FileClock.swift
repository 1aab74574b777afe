import Synchronization

/// The monotonic time of one broker's file in milliseconds, which does not depend on changes to the wall clock.
///
/// It is the machine's uptime plus an offset that the file stores for each boot of the machine, so that all processes
/// have the same time. The wall clock is read only after a reboot, to find out how long the machine was off.
final class FileClock: Sendable {
    /// The machine it runs on.
    let machine: MachineClock
    private let state = Mutex(State())

    private struct State {
        /// The milliseconds by which the time is ahead of the uptime.
        var ahead: Int64 = 0
        /// The milliseconds by which the time is behind the wall clock.
        var behindWall: Int64 = 0
        /// The time that was last stored in the file.
        var noted = Int64.min
    }

    /// The minimum interval between two updates of the file by appends, in milliseconds.
    private static let notePause: Int64 = 10_000
    /// The difference in milliseconds from which the wall clock counts as set, relative to the value in the file.
    ///
    /// The two clocks are read one after the other and in full milliseconds, and the wall clock is adjusted by small
    /// steps. Without this tolerance, the time of an entry would depend on the process that reads it.
    private static let wallTolerance: Int64 = 100

    init(_ machine: MachineClock) {
        self.machine = machine
    }

    /// The current time.
    var now: Int64 { machine.uptime() + state.withLock(\.ahead) }

    /// The milliseconds by which the time is behind the wall clock, for timestamps shown to users.
    ///
    /// It is the same for all processes that open the file, as long as the wall clock is not set.
    var behindWall: Int64 { state.withLock(\.behindWall) }

    /// Relates the time of the file to the clocks of this machine; must be called first after opening the file.
    func start(in transaction: SQLTransaction) throws {
        let (uptime, wall) = (machine.uptime(), machine.wall())
        let row = try ClockRow.read(in: transaction)
        if let row, let boot = machine.boot, row.boot == boot, uptime + row.ahead >= row.time {
            state.withLock {
                $0.ahead = row.ahead
                $0.behindWall = row.wall - row.time
            }
            // The file is updated with the next entry, since a process that only reads must not need disk space.
            follow(wall, at: uptime + row.ahead)
            return
        }
        // The time never goes back, not even if the wall clock was set back: otherwise delayed messages would wait too
        // long, and the entries of logs would not be in the order of their times.
        let known = row.map { $0.time + max(0, wall - $0.wall) } ?? wall
        let time = max(known, try ClockRow.newestEntry(in: transaction))
        let new = ClockRow(boot: machine.boot ?? "", ahead: time - uptime, time: time, wall: wall)
        try new.write(in: transaction)
        state.withLock { $0 = State(ahead: new.ahead, behindWall: wall - time, noted: time) }
    }

    /// Stores the current time in the file, so that the time can continue from it after a reboot.
    func note(in transaction: SQLTransaction) throws {
        let (time, wall) = (now, machine.wall())
        follow(wall, at: time)
        try ClockRow.note(time: time, wall: time + behindWall, in: transaction)
        state.withLock { $0.noted = time }
    }

    /// Stores the current time like ``note(in:)`` if the last update is old enough.
    func noteOccasionally(in transaction: SQLTransaction) throws {
        let time = now
        guard state.withLock({ $0.noted == .min || time - $0.noted >= Self.notePause }) else { return }
        try note(in: transaction)
    }

    /// Adopts the current wall clock if it was set since the file was last updated.
    private func follow(_ wall: Int64, at time: Int64) {
        state.withLock { state in
            if abs(wall - time - state.behindWall) > Self.wallTolerance { state.behindWall = wall - time }
        }
    }
}

/// The relation between the time of the file and the clocks of the machine, as stored in the file.
private struct ClockRow {
    /// The boot ID of the machine.
    let boot: String
    /// The milliseconds by which the time of the file is ahead of the uptime since that boot.
    let ahead: Int64
    /// The time at the last update.
    let time: Int64
    /// The wall clock at the last update.
    let wall: Int64

    /// Reads the row; returns nil in a new file.
    static func read(in transaction: SQLTransaction) throws -> ClockRow? {
        try transaction.statement("SELECT boot, ahead, time, wall FROM clock").first { row in
            ClockRow(boot: row.text(0), ahead: row.integer(1), time: row.integer(2), wall: row.integer(3))
        }
    }

    /// Replaces the row.
    func write(in transaction: SQLTransaction) throws {
        let insert = try transaction.statement("INSERT OR REPLACE INTO clock VALUES (0, ?, ?, ?, ?)")
        insert.bind(boot, at: 1)
        insert.bind(ahead, at: 2)
        insert.bind(time, at: 3)
        insert.bind(wall, at: 4)
        try insert.run()
    }

    /// Updates the time; a time earlier than the stored one has no effect.
    static func note(time: Int64, wall: Int64, in transaction: SQLTransaction) throws {
        try transaction.run("UPDATE clock SET time = ?1, wall = ?2 WHERE time < ?1", time, wall)
    }

    /// Returns the time of the newest entry of all logs, or 0 if there are no entries.
    static func newestEntry(in transaction: SQLTransaction) throws -> Int64 {
        let select = try transaction.statement(
            "SELECT max(time) FROM log JOIN entry ON entry.key = (log.id << \(Place.bits)) + log.next - 1"
        )
        return try select.first { $0.optionalInteger(0) ?? 0 } ?? 0
    }
}

extension Duration {
    /// The duration in milliseconds, rounded up and limited to a range in which sums do not overflow.
    var milliseconds: Int64 {
        let (seconds, attoseconds) = components
        let (product, isTooLong) = seconds.multipliedReportingOverflow(by: 1_000)
        guard !isTooLong, product.magnitude < UInt64(Int64.max / 4) else { return seconds < 0 ? .min / 4 : .max / 4 }
        return product + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000
    }
}
