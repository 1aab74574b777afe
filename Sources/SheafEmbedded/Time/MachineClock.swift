import Glibc

/// What a machine tells of the time; tests have machines of their own, whose clocks jump.
package struct MachineClock: Sendable {
    /// Milliseconds since 1970 by the clock on the wall, which people and programs set.
    package let wall: @Sendable () -> Int64
    /// Milliseconds since the machine was started, sleep included; nobody sets it.
    package let uptime: @Sendable () -> Int64
    /// Which start of the machine this is; nil where it does not tell.
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

    /// The machine that this process runs on.
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
