import Glibc
import Subprocess

/// A process and all it started, which is to come to its end.
struct ProcessGroup: Sendable {
    /// How often it looks whether the process has ended.
    private static let pollInterval = Duration.milliseconds(5)

    private let process: ProcessIdentifier

    /// Takes a process that leads its own group and was not waited for yet: its number is nobody else's until then.
    init(_ process: ProcessIdentifier) { self.process = process }

    /// Waits a while for the process to end by itself, then ends it with SIGTERM, and at last its whole group with SIGKILL.
    ///
    /// - Parameters:
    ///   - patience: How long each step may take.
    ///   - isHurried: Whether there is no time for it to end by itself.
    /// - Returns: Whether it has ended by itself.
    func end(_ patience: ProcessLifecycle.Patience, isHurried: () -> Bool) async -> Bool {
        await wait(patience.output, unless: isHurried)
        let hasEnded = hasExited
        if !hasEnded {
            signal(SIGTERM)
            await wait(patience.termination) { false }
        }
        signal(SIGKILL)
        return hasEnded
    }

    private func wait(_ limit: Duration, unless isHurried: () -> Bool) async {
        let deadline = ContinuousClock.now + limit
        while !hasExited, !isHurried(), ContinuousClock.now < deadline {
            try? await Task.sleep(for: Self.pollInterval)
        }
    }

    private func signal(_ number: Int32) {
        // A group of 0 would be our own, and -1 everybody.
        if process.value > 1 { _ = kill(-process.value, number) }
    }

    /// Whether the process has ended, without taking its status from who waits for it.
    private var hasExited: Bool {
        var information = siginfo_t()
        let result = waitid(P_PID, id_t(process.value), &information, WEXITED | WNOHANG | WNOWAIT)
        return result != 0 || information.si_signo != 0
    }
}
