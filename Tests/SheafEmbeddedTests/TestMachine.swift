import SheafEmbedded
import Synchronization

/// A machine whose clock on the wall is set wrong, and which can be started anew, while this one goes on.
final class TestMachine: Sendable {
    private let state: Mutex<State>

    private struct State {
        var wall: Int64
        var uptime: Int64
        var boot: Int
    }

    init() {
        self.state = Mutex(State(wall: 0, uptime: 0, boot: 1))
    }

    /// The clocks as they are after the present start of the machine.
    var clock: MachineClock {
        MachineClock(
            wall: { MachineClock.system.wall() + self.state.withLock(\.wall) },
            uptime: { MachineClock.system.uptime() + self.state.withLock(\.uptime) },
            boot: "boot \(state.withLock(\.boot))"
        )
    }

    /// Sets the clock on the wall, forward or back.
    func setWall(by time: Duration) {
        state.withLock { $0.wall += time.components.seconds * 1_000 }
    }

    /// Lets time pass.
    func pass(_ time: Duration) {
        state.withLock {
            $0.wall += time.components.seconds * 1_000
            $0.uptime += time.components.seconds * 1_000
        }
    }

    /// Starts the machine anew after it was off for a while, by the clock on the wall.
    func restart(after pause: Duration) {
        state.withLock {
            $0.wall += pause.components.seconds * 1_000
            $0.uptime = -MachineClock.system.uptime()
            $0.boot += 1
        }
    }
}
