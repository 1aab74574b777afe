import Logging
import SheafBatches
import SheafBroker
import SheafCore

/// Holds the tasks of one limit back in the inbox, and lets them go as fast as the limit allows.
struct RateGate: Sendable {
    let client: SheafClient
    let book: RateLimits
    let inbox: TaskInbox
    let key: RateLimitKey
    /// The rate that this worker's configuration wants.
    let wanted: RateLimit?

    /// How long a queue of tokens must be gone before tokens are made anew: a broker that starts finds things late.
    private static let patience = Duration.seconds(10)

    /// Works until cancelled.
    func run() async throws {
        var missingSince: ContinuousClock.Instant?
        var backoff = Backoff()
        var toldOf: String?
        for await _ in book.changes() {
            // The limit stands as it was when last looked at, until it has changed once more.
            while true {
                try Task.checkCancellation()
                let limit = book[key]
                if limit.rate != wanted, limit.nonce != toldOf {
                    toldOf = limit.nonce
                    client.logger.warning(
                        """
                        \(key) is kept at \(limit.rate?.description ?? "no rate"), as \(limit.setter) wants it; the \
                        configuration of this worker says \(wanted?.description ?? "nothing of a rate")
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
                    missingSince = nil
                    backoff.reset()
                } catch let error as BrokerError {
                    guard error.isRetryable || error.code == .notFound || error.code == .queueGone else { throw error }
                    client.logger.debug("tokens of \(key) can not be had: \(error)")
                    try await backoff.pause()
                    if error.isRetryable { continue }
                    try await persisting { try await book.catchUp() }
                    guard book[key].nonce == nonce else { continue }
                    let since = missingSince ?? .now
                    missingSince = since
                    if .now - since > Self.patience {
                        client.logger.warning("the tokens of \(key) are gone, and are made anew")
                        try await retrying { try await TokenMint(client: client, book: book).renew(key, after: nonce) }
                        missingSince = nil
                    }
                }
            }
        }
    }

    /// Takes tokens and lets a task go for each, until there is no task, or the limit is another or paused.
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
        // First the consumer, then the tokens, or they come straight back.
        let (broker, rest) = (client.broker, unused)
        try await withoutCancellation {
            let late = try await consumer.cancel()
            try await broker.settle(rest + late, as: .returned)
        }
        try result.get()
    }

    private func spend(from consumer: any QueueConsumer, _ nonce: String, _ unused: inout [Delivery]) async throws {
        while let tokens = try await consumer.next() {
            for (position, token) in tokens.enumerated() {
                let limit = book[key]
                guard limit.nonce == nonce, limit.pause() == nil, inbox.hasDemand(of: key) else {
                    unused = Array(tokens[position...])
                    return
                }
                // Spent before the call. A task that is taken away meanwhile leaves it spent for nothing.
                try await client.broker.settle(token, as: .rejected)
                inbox.admit(key)
            }
        }
    }
}
