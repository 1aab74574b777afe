import Glibc

/// The clocks of a machine; tests replace them with clocks that jump.
package struct MachineClock: Sendable {
    /// Returns milliseconds since 1970 by the wall clock, which users and programs can set.
    package let wall: @Sendable () -> Int64
    /// Returns milliseconds since the machine was booted, including sleep; it cannot be set.
    package let uptime: @Sendable () -> Int64
    /// The boot ID of the machine, or nil if it is unknown.
    package let boot: String?

    package init(
        wall: @escaping @Sendable () -> Int64,
        uptime: @escaping @Sendable () -> Int64,
        boot: String?
    ) {
        self.wall = wall
        self.uptime = uptime
        self.boot = boot
    }

    /// The clocks of the machine on which this process runs.
    package static let system = MachineClock(
        wall: { milliseconds(of: CLOCK_REALTIME) },
        uptime: { milliseconds(of: CLOCK_BOOTTIME) },
        boot: bootID()
    )

    private static func milliseconds(of clock: clockid_t) -> Int64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
    }

    private static func bootID() -> String? {
        let descriptor = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 64)
        let count = read(descriptor, &bytes, bytes.count)
        guard count > 0 else { return nil }
        return String(decoding: bytes.prefix(count).prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
    }
}
