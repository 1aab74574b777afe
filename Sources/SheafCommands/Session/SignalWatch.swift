import Glibc
import Synchronization
import UnixSignals

/// Runs work that SIGINT and SIGTERM end in steps: gracefully if the work supports it, then by cancelling it, and then
/// at once.
///
/// Signals arrive on a sequence, not in a signal handler, so the steps may do anything.
final class SignalWatch: Sendable {
    private let first = Mutex<Interruption?>(nil)

    /// The first signal, if there was one.
    var interruption: Interruption? { first.withLock { $0 } }

    /// Runs the body until it ends.
    ///
    /// The first signal calls `ease`, and the second one cancels the body. If `ease` returns false, the first signal
    /// cancels. The next signal ends the process at once, for work that does not react.
    func run<Result: Sendable>(
        ease: @escaping @Sendable (Interruption) async -> Bool = { _ in false },
        hasten: @escaping @Sendable (Interruption) -> Void = { _ in },
        _ body: @concurrent @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm)
        let work = Task { try await body() }
        let watch = Task {
            var isEased = false
            var isCancelled = false
            for await signal in signals {
                let interruption = Interruption(signal: signal.rawValue)
                self.first.withLock { $0 = $0 ?? interruption }
                if isCancelled { _exit(interruption.status.rawValue) }
                if !isEased, await ease(interruption) {
                    isEased = true
                } else {
                    hasten(interruption)
                    work.cancel()
                    isCancelled = true
                }
            }
        }
        defer { watch.cancel() }
        return try await work.value
    }

    /// Runs work that a signal cancels; throws ``Interruption`` if there was a signal.
    static func interruptible<Result: Sendable>(
        _ body: @concurrent @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        let watch = SignalWatch()
        do {
            return try await watch.run(body)
        } catch {
            throw watch.interruption ?? error
        }
    }
}

/// A signal that ended the command.
struct Interruption: Error, Equatable {
    /// The number of the signal.
    let signal: Int32

    /// The exit code: 128 plus the number of the signal, as in shells.
    var status: ExitReason { signal == SIGTERM ? .terminated : .interrupted }
}
