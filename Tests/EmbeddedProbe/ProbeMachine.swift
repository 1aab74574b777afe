import Glibc
import SheafEmbedded

/// The clocks that the probe works with.
enum ProbeMachine {
    /// This machine, with its clock on the wall set wrong by the number of milliseconds in a file, which is read again each time.
    static func reading(_ path: String) -> MachineClock {
        MachineClock(
            wall: { MachineClock.system.wall() + offset(in: path) },
            uptime: MachineClock.system.uptime,
            boot: MachineClock.system.boot
        )
    }

    /// Nanoseconds of the clock that nobody sets and all processes share.
    static func monotonic() -> Int {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return time.tv_sec * 1_000_000_000 + time.tv_nsec
    }

    private static func offset(in path: String) -> Int64 {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return 0 }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 32)
        let count = read(descriptor, &bytes, bytes.count)
        return Int64(String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)) ?? 0
    }
}
