import Logging
import SheafBatches
import SheafBroker
import SheafCore

/// Holds the tasks of one rate limit back in the inbox, and admits them as fast as the limit allows.
struct RateGate: Sendable {
    private let client: SheafClient
    private let limits: RateLimits
    private let mint: TokenMint
    private let inbox: TaskInbox
    private let key: RateLimitKey
    private let wanted: RateLimit?

    /// Creates a gate for a limit with the rate that this worker's configuration wants.
    init(_ context: WorkerContext, mint: TokenMint, limit: FlowRateLimit) {
        client = context.client
        limits = context.limits
        inbox = context.inbox
        self.mint = mint
        self.key = limit.key
        self.wanted = limit.rate
    }

    /// Works until cancelled.
    func run() async throws {
        var backoff = Backoff()
        var reported: String?
        for await _ in limits.changes() {
            while true {
                try Task.checkCancellation()
                let limit = limits[key]
                if limit.rate != wanted, limit.nonce != reported {
                    reported = limit.nonce
                    client.logger.warning(
                        """
                        \(key) has \(limit.rate?.description ?? "no rate"), set by worker \(limit.setter); this worker \
                        is configured with \(wanted?.description ?? "no rate")
                        """
                    )
                }
                if let until = limit.pause() {
                    inbox.close(key)
                    try await Task.sleep(until: until, clock: .continuous)
                    continue
                }
                guard let rate = limit.rate, let nonce = limit.nonce else {
                    inbox.open(key)
                    break
                }
                inbox.close(key)
                guard await inbox.demand(of: key) else { return }
                do {
                    try await spend(nonce, rate)
                    backoff.reset()
                } catch let error as BrokerError {
                    guard error.isRetryable || error.code == .notFound || error.code == .queueGone else { throw error }
                    client.logger.debug("cannot take tokens of \(key): \(error)")
                    try await backoff.pause()
                    if error.isRetryable { continue }
                    // A worker that changes the rate deletes the old tokens once the log names the new ones.
                    try await limits.catchUp()
                    guard limits[key].nonce == nonce else { continue }
                    client.logger.warning("the tokens of \(key) are gone; the worker mints new ones")
                    try await retrying { try await mint.renew(key, after: nonce) }
                }
            }
        }
    }

    /// Takes tokens and admits a task for each, until there is no task, or the limit has changed or is paused.
    private func spend(_ nonce: String, _ rate: RateLimit) async throws {
        let consumer = try await client.broker.consume(
            client.names.tokens(key, nonce: nonce),
            prefetch: min(max(1, rate.burst / 8), 50)
        )
        var unused: [Delivery] = []
        let result: Result<Void, any Error>
        do {
            try await spend(from: consumer, nonce, &unused)
            result = .success(())
        } catch {
            result = .failure(error)
        }
        // The consumer ends first: otherwise the returned tokens would come straight back to it.
        let (broker, rest) = (client.broker, unused)
        try await withoutCancellation {
            let late = try await consumer.cancel()
            try await broker.settle(rest + late, as: .returned)
        }
        try result.get()
    }

    private func spend(from consumer: any QueueConsumer, _ nonce: String, _ unused: inout [Delivery]) async throws {
        while let tokens = try await consumer.next() {
            if let start = limits[key].start, start > .now {
                unused = tokens
                try await Task.sleep(until: start, clock: .continuous)
                unused = []
            }
            for (position, token) in tokens.enumerated() {
                let limit = limits[key]
                guard limit.nonce == nonce, limit.pause() == nil, inbox.hasDemand(of: key) else {
                    unused = Array(tokens[position...])
                    return
                }
                // Spent before the call. If the task is taken away meanwhile, the token is wasted.
                try await client.broker.settle(token, as: .rejected)
                inbox.admit(key)
            }
        }
    }
}

/// Mints the tokens that keep rates.
///
/// A fixed number of tokens in a queue keeps a rate. A worker takes a token before each call and rejects it. The
/// broker dead-letters it to a second queue, from which it returns when its lifetime has passed. So the broker keeps
/// the rate: if a worker is killed while it holds a token, the token returns, spent or not, and no particular worker
/// has to be alive.
struct TokenMint: Sendable {
    private let client: SheafClient
    private let limits: RateLimits

    init(client: SheafClient, limits: RateLimits) {
        self.client = client
        self.limits = limits
    }

    /// Sets the rate of a limit from now on; the worker that starts last decides.
    func establish(_ limit: FlowRateLimit) async throws {
        try await replace(limit.key, by: limit.rate) { $0.rate != limit.rate }
    }

    /// Mints the tokens of a limit again if its queues are gone.
    func renew(_ key: RateLimitKey, after nonce: String) async throws {
        try await replace(key, by: limits[key].rate) { $0.nonce == nonce }
    }

    /// Replaces the tokens; they count once the log names their queues, so an interrupted minting has no effect.
    ///
    /// Workers may do so at the same time, and the last entry counts for all. Each of them deletes the tokens of all
    /// entries since it looked, except the last, and so every entry that another one follows is covered.
    private func replace(_ key: RateLimitKey, by rate: RateLimit?, if isOld: (RateLimitState) -> Bool) async throws {
        let old = limits[key]
        guard isOld(old) else { return }
        let nonce = String(UInt64.random(in: .min ... .max), radix: 36)
        if let rate { try await mint(rate, of: key, nonce) }
        // Of the workers that start at the same time, most learn here that another one was faster.
        try await limits.catchUp()
        guard isOld(limits[key]) else { return try await delete([nonce], of: key) }
        try await retrying { try await limits.append(.set(rate: rate, nonce: nonce), to: key) }
        try await limits.catchUp()
        let new = limits[key]
        if new.nonce == nonce { client.logger.info("\(key) has \(rate?.description ?? "no rate") from now on") }
        try await delete(new.replaced.dropFirst(old.replaced.count).filter { $0 != new.nonce }, of: key)
    }

    private func delete(_ nonces: [String], of key: RateLimitKey) async throws {
        let (broker, names) = (client.broker, client.names)
        for nonce in nonces {
            try await retrying { try await broker.deleteQueue(names.tokens(key, nonce: nonce)) }
            try await retrying { try await broker.deleteQueue(names.spentTokens(key, nonce: nonce)) }
        }
    }

    /// The tokens begin as spent ones, so that changing a rate, however often, allows no additional calls.
    private func mint(_ rate: RateLimit, of key: RateLimitKey, _ nonce: String) async throws {
        let (broker, names) = (client.broker, client.names)
        let (tokens, spent) = (names.tokens(key, nonce: nonce), names.spentTokens(key, nonce: nonce))
        let queue = QueueDeclaration(name: tokens, kind: .tokens(deadLetter: .queue(spent)))
        let room = QueueDeclaration(name: spent, kind: .waitingRoom(lifetime: rate.tokenLifetime, then: tokens))
        try await broker.declareQueue(queue)
        try await broker.declareQueue(room)
        // Not retried: what was confirmed in part, repeated under the same name, would be more than the rate.
        try await broker.publish(
            (0..<rate.burst).map { Message(id: String($0), type: Self.tokenType) },
            to: spent
        )
    }

    /// The type of messages that are tokens.
    static let tokenType = "token"
}
