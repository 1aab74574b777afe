import SheafBatches
import SheafBroker
import SheafCore
import SheafFlows
import Synchronization

/// The limits that workers share, as this process knows them: read at first, then followed.
final class RateLimits: Sendable {
    private struct State {
        var limits: [RateLimitKey: RateLimitState] = [:]
        var nextOffset: Int64 = 0
    }

    private let client: SheafClient
    private let worker: String
    private let state = Mutex(State())
    /// Whether nothing is known of any limit, which most workers never learn more than.
    private let isBlank = Atomic(true)
    private let changed = Changes()

    init(client: SheafClient, worker: String) {
        self.client = client
        self.worker = worker
    }

    /// What is known of a limit now.
    subscript(_ key: RateLimitKey) -> RateLimitState { state.withLock { $0.limits[key] ?? RateLimitState() } }

    /// Whether calls of a limit are to be left alone now.
    func isPaused(_ key: RateLimitKey) -> Bool {
        !isBlank.load(ordering: .sequentiallyConsistent) && self[key].pause() != nil
    }

    /// A stream with an element at first and after each change.
    func changes() -> AsyncStream<Void> { changed.stream() }

    /// Makes everybody look again.
    func nudge() { changed.notify() }

    /// Reads what the log says up to now; pauses are as long as is left of them by the clocks of those who wrote them.
    func catchUp() async throws {
        let offset = state.withLock { $0.nextOffset }
        try await retrying(for: .seconds(15)) {
            try await client.broker.replay(client.names.limits, from: offset == 0 ? .first : .offset(offset)) { chunk in
                apply(chunk, isNew: false)
            }
        }
    }

    /// Follows the log until cancelled; a pause that is told of while one listens begins when it is heard of.
    func run() async throws {
        let offset = state.withLock { $0.nextOffset }
        try await client.broker.follow(client.names.limits, from: offset == 0 ? .first : .offset(offset)) { chunk in
            apply(chunk, isNew: true)
            return true
        }
    }

    /// Appends an entry and returns when it is confirmed.
    func append(_ event: RateLimitEntry.Event, to key: RateLimitKey) async throws {
        let entry = RateLimitEntry(key: key, at: .now, worker: worker, event: event)
        try await client.broker.append(entry.message, to: client.names.limits)
    }

    /// Pauses a limit here at once and for all others as soon as they hear of it, because a call was told to wait.
    ///
    /// Only the first of several calls that were under way together makes the next pause longer than this one.
    ///
    /// - Parameters:
    ///   - key: The limit.
    ///   - throttle: What the service said.
    ///   - start: When the call began.
    func pause(_ key: RateLimitKey, for throttle: FlowThrottle, begun start: ContinuousClock.Instant) async throws {
        isBlank.store(false, ordering: .sequentiallyConsistent)
        let event = state.withLock { $0.limits[key, default: RateLimitState()].throttled(throttle, begun: start) }
        guard let event else { return }
        changed.notify()
        // Who can not be told in time does as he did; the task waits here in any case.
        _ = try await within(OutcomeWriter.lastPatience) {
            try await retrying { try await self.append(event, to: key) }
        }
    }

    /// Notes that a call was answered, so that the next pause is a short one again.
    func noteAnswer(_ key: RateLimitKey, begun start: ContinuousClock.Instant) {
        if isBlank.load(ordering: .sequentiallyConsistent) { return }
        state.withLock { $0.limits[key]?.answered(begun: start) }
    }

    private func apply(_ chunk: LogChunk, isNew: Bool) {
        let (wall, now) = (Timestamp.now, ContinuousClock.now)
        if !chunk.entries.isEmpty { isBlank.store(false, ordering: .sequentiallyConsistent) }
        state.withLock { state in
            // Two may read at once (following and catching up); what one has applied the other leaves out.
            for entry in chunk.entries where entry.offset >= state.nextOffset {
                guard let limit = RateLimitEntry(entry.message) else { continue }
                let age = isNew ? .zero : max(.zero, wall - limit.at)
                state.limits[limit.key, default: RateLimitState()].apply(limit, age: age, now: now)
            }
            state.nextOffset = max(state.nextOffset, chunk.nextOffset)
        }
        changed.notify()
    }
}
