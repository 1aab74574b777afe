import Synchronization

/// The time of one broker's file, in milliseconds: it runs with the machine, whatever is done to the clock on the wall,
/// and never goes back.
///
/// It is the machine's uptime plus a number that the file keeps for this start of the machine, so that all processes
/// have the same time. The clock on the wall is asked only after the machine was started anew, for how long it was off.
final class FileClock: Sendable {
    /// The machine it runs on.
    let machine: MachineClock
    private let state = Mutex(State())

    private struct State {
        /// How far the time is ahead of the uptime.
        var ahead: Int64 = 0
        /// How far the time is behind the clock on the wall.
        var behindWall: Int64 = 0
        /// When the file was last told.
        var noted = Int64.min
    }

    /// How often the file is told by those who only append.
    private static let notePause: Int64 = 10_000
    /// How far the clock on the wall may be from what the file says of it before it counts as set.
    ///
    /// The two clocks are read one after the other and in whole milliseconds, and the one on the wall is kept right by
    /// small steps; without this, the time of an entry would depend on who reads it.
    private static let wallTolerance: Int64 = 100

    init(_ machine: MachineClock) {
        self.machine = machine
    }

    /// The time now.
    var now: Int64 { machine.uptime() + state.withLock(\.ahead) }

    /// How far the time is behind the clock on the wall: for people, who know only that one.
    ///
    /// It is the same for all who open the file while nobody sets that clock.
    var behindWall: Int64 { state.withLock(\.behindWall) }

    /// Finds out how the time of the file stands to this machine's; the first thing done with an open file.
    func start(in transaction: SQLTransaction) throws {
        let (uptime, wall) = (machine.uptime(), machine.wall())
        let row = try ClockRow.read(in: transaction)
        if let row, let boot = machine.boot, row.boot == boot, uptime + row.ahead >= row.time {
            state.withLock {
                $0.ahead = row.ahead
                $0.behindWall = row.wall - row.time
            }
            // The file is told with the next entry: who only reads must not need room on the disk.
            follow(wall, at: uptime + row.ahead)
            return
        }
        // Never back, not even where the clock on the wall was set back: what was delayed would wait longer than it was
        // asked to, and the entries of logs would not lie in the order of their times.
        let known = row.map { $0.time + max(0, wall - $0.wall) } ?? wall
        let time = max(known, try ClockRow.newestEntry(in: transaction))
        let new = ClockRow(boot: machine.boot ?? "", ahead: time - uptime, time: time, wall: wall)
        try new.write(in: transaction)
        state.withLock { $0 = State(ahead: new.ahead, behindWall: wall - time, noted: time) }
    }

    /// Tells the file what time it is, so that the time can go on from there after the machine was started anew.
    func note(in transaction: SQLTransaction) throws {
        let (time, wall) = (now, machine.wall())
        follow(wall, at: time)
        try ClockRow.note(time: time, wall: time + behindWall, in: transaction)
        state.withLock { $0.noted = time }
    }

    /// As ``note(in:)``, where the last time is a while ago.
    func noteNowAndThen(in transaction: SQLTransaction) throws {
        let time = now
        guard state.withLock({ $0.noted == .min || time - $0.noted >= Self.notePause }) else { return }
        try note(in: transaction)
    }

    /// Goes by the clock on the wall as it is now, where somebody has set it since the file was told of it.
    private func follow(_ wall: Int64, at time: Int64) {
        state.withLock { state in
            if abs(wall - time - state.behindWall) > Self.wallTolerance { state.behindWall = wall - time }
        }
    }
}
