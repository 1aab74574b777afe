import Synchronization

/// Ends attempts that run in a task of their own, even if they have not begun.
final class AttemptControl: Sendable {
    private struct State {
        var attempts: Task<Void, Never>?
        var isEnded = false
    }

    private let state = Mutex(State())

    /// Whether the attempts are to end.
    var isEnded: Bool { state.withLock { $0.isEnded } }

    /// Ends the attempts.
    func end() {
        let attempts = state.withLock { state in
            state.isEnded = true
            return state.attempts
        }
        attempts?.cancel()
    }

    /// Handles what attempts report, and returns when they have ended.
    ///
    /// What takes more than submitting an outcome is handled here: a cancel of the batch ends only the attempts.
    func run<Event: Sendable>(
        _ attempts: Task<Void, Never>,
        _ events: AsyncStream<Event>,
        _ handle: (Event) async throws -> Void
    ) async throws {
        let isEnded = state.withLock { state in
            state.attempts = attempts
            return state.isEnded
        }
        if isEnded { attempts.cancel() }
        do {
            try await withTaskCancellationHandler {
                for await event in events { try await handle(event) }
            } onCancel: {
                attempts.cancel()
            }
        } catch {
            attempts.cancel()
            await attempts.value
            throw error
        }
        await attempts.value
    }
}
