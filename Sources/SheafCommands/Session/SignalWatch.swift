import Glibc
import Synchronization
import UnixSignals

/// Runs work that SIGINT and SIGTERM end in steps: gently first where the work knows how, then by cancelling, then at
/// once.
///
/// Signals arrive on a sequence, never in a handler, so every step may do whatever it needs to.
final class SignalWatch: Sendable {
    private let first = Mutex<Interruption?>(nil)

    /// The signal that came first, if one did.
    var interruption: Interruption? { first.withLock { $0 } }

    /// Runs the body until it ends, whatever signals come.
    ///
    /// The first signal calls `ease`, and the second cancels; where `ease` returns false, the first one cancels. The
    /// one after that ends the process on the spot, for work that does not react.
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

    /// Runs work that a signal ends by cancelling it; throws ``Interruption`` where one did.
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
