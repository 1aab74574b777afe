import Logging
import ServiceLifecycle
import SheafBatches
import SheafBroker
import SheafCore
import SheafFormats
import SheafTelemetry
import Synchronization

/// Knows about the broker what the fold does not: whether it answers, its dead letters, and the tokens of limits.
///
/// Requests for metrics and probes read what it knows, and cost the broker nothing.
final class BrokerWatch: Service {
    private struct State {
        /// When the broker answered last.
        var lastAnswer = ContinuousClock.now
        /// The error of the last request; nil if it was answered.
        var error: String?
        var isBlocked = false
        var hasAggregator = false
        var description: BrokerDescription?
        var dead: Set<Int64> = []
        /// The nonce of the tokens of each limit with a rate.
        var nonces: [RateLimitKey: String] = [:]
        var tokens: [RateLimitKey: Int] = [:]

        mutating func countDead(_ entry: LogEntry) {
            switch Dismissal(entry.message) {
            case .before(let offset)?: dead = dead.filter { $0 >= offset }
            case .requeued(let offset)?: dead.remove(offset)
            case nil:
                if DeadLetterSighting(entry.message) == nil, dead.count < BrokerWatch.maximumDead {
                    dead.insert(entry.offset)
                }
            }
        }

        mutating func noteLimit(_ entry: LogEntry) {
            guard let limit = RateLimitEntry(entry.message), case .set(let rate, let nonce) = limit.event else {
                return
            }
            if rate == nil {
                nonces[limit.key] = nil
            } else if nonces[limit.key] != nil || nonces.count < BrokerWatch.maximumLimits {
                nonces[limit.key] = nonce
            }
        }
    }

    /// The pause between two requests.
    private static let interval = Duration.seconds(2)
    /// The longest time without an answer after which the broker still counts as usable.
    private static let patience = Duration.seconds(6)
    /// The most limits that are looked at; any process that can publish chooses their names.
    private static let maximumLimits = 100
    /// The most dead letters that are counted; each takes 8 bytes.
    private static let maximumDead = 1_000_000

    private let client: SheafClient
    private let state = Mutex(State())

    init(client: SheafClient) { self.client = client }

    /// Why the broker cannot be used; nil if it answers.
    var problem: String? { Self.problem(state.withLock { $0 }) }

    private static func problem(_ state: State) -> String? {
        if let error = state.error { return error }
        return .now - state.lastAnswer < patience ? nil : "the broker does not answer"
    }

    /// Watches until the task is cancelled or the service shuts down.
    func run() async throws {
        do {
            try await cancelWhenGracefulShutdown { try await self.watch() }
        } catch is CancellationError {
            try Task.checkCancellation()
        }
    }

    private func watch() async throws {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.look() }
            group.addTask { await self.follow(self.client.names.dead) { $0.countDead($1) } }
            group.addTask { await self.follow(self.client.names.limits) { $0.noteLimit($1) } }
            await group.waitForAll()
        }
        try Task.checkCancellation()
    }

    private func follow(_ log: String, _ apply: @escaping @Sendable (inout State, LogEntry) -> Void) async {
        do {
            try await client.broker.follow(log, from: .first) { chunk in
                state.withLock { state in for entry in chunk.entries { apply(&state, entry) } }
                return true
            }
        } catch is CancellationError {
            return
        } catch {
            client.logger.error("metrics no longer count the entries of log \(log): \(error)")
        }
    }

    /// Asks the broker at intervals whether it is there.
    private func look() async {
        while !Task.isCancelled {
            do {
                try await ask()
                state.withLock { ($0.lastAnswer, $0.error) = (.now, nil) }
            } catch is CancellationError {
                return
            } catch {
                state.withLock { $0.error = Problem(of: error).message }
            }
            try? await Task.sleep(for: Self.interval)
        }
    }

    private func ask() async throws {
        let hasAggregator = try await client.broker.isLocked(client.names.aggregatorLock)
        let blockedReason = await client.broker.blockedReason
        let (nonces, known) = state.withLock { ($0.nonces, $0.description) }
        let description = if let known { known } else { try await client.broker.description }
        var tokens: [RateLimitKey: Int] = [:]
        for (key, nonce) in nonces {
            tokens[key] = try await client.broker.queueStatus(client.names.tokens(key, nonce: nonce))?.ready
        }
        let counted = tokens
        state.withLock { state in
            state.hasAggregator = hasAggregator
            state.isBlocked = blockedReason != nil
            state.description = description
            state.tokens = counted
        }
    }

    /// Writes the metrics of the broker.
    func write(to text: inout PrometheusText) {
        let state = state.withLock { $0 }
        func gauge(_ metric: MetricDefinition, _ value: Int) {
            text.begin(metric)
            text.sample(PrometheusText.Labels(), value)
        }
        gauge(MetricCatalog.connected, Self.problem(state) == nil ? 1 : 0)
        gauge(MetricCatalog.blocked, state.isBlocked ? 1 : 0)
        gauge(MetricCatalog.aggregating, state.hasAggregator ? 1 : 0)
        gauge(MetricCatalog.dead, state.dead.count)
        text.begin(MetricCatalog.limitTokens)
        for (key, tokens) in state.tokens.sorted(by: { $0.key.text < $1.key.text }) {
            text.sample(PrometheusText.Labels([("limit", key.text)]), tokens)
        }
        text.begin(MetricCatalog.build)
        let broker = state.description.map { "\($0.kind) \($0.version)" } ?? ""
        text.sample(
            PrometheusText.Labels([
                ("version", SheafVersion.current), ("swift", SheafVersion.swift), ("broker", broker),
            ]),
            1
        )
    }
}
