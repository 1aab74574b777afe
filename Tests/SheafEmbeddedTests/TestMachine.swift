import SheafEmbedded
import Synchronization

/// A simulated machine whose wall clock can be set and which can be rebooted.
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

    /// The clocks since the current boot.
    var clock: MachineClock {
        MachineClock(
            wall: { MachineClock.system.wall() + self.state.withLock(\.wall) },
            uptime: { MachineClock.system.uptime() + self.state.withLock(\.uptime) },
            boot: "boot \(state.withLock(\.boot))"
        )
    }

    /// Sets the wall clock forward or back.
    func setWall(by time: Duration) {
        state.withLock { $0.wall += time.components.seconds * 1_000 }
    }

    /// Advances both clocks.
    func pass(_ time: Duration) {
        state.withLock {
            $0.wall += time.components.seconds * 1_000
            $0.uptime += time.components.seconds * 1_000
        }
    }

    /// Reboots the machine after a pause by the wall clock.
    func restart(after pause: Duration) {
        state.withLock {
            $0.wall += pause.components.seconds * 1_000
            $0.uptime = -MachineClock.system.uptime()
            $0.boot += 1
        }
    }
}
