import Logging
import SheafBatches
import SheafBroker
import SheafCore

/// Makes the tokens of rates.
///
/// A rate is kept by a fixed number of tokens in a queue. Who takes one may begin a call; he refuses it first, whereupon it waits
/// in a second queue, and comes back by itself when its lifetime is over. So the broker keeps the rate: whoever is killed with
/// a token in hand gives it back, spent or not, and nobody has to be alive for the others to go on.
struct TokenMint: Sendable {
    let client: SheafClient
    let book: RateLimits

    /// Sees to it that a limit is kept at this rate from now on; the worker that starts last decides.
    func establish(_ limit: FlowRateLimit) async throws {
        let (key, rate) = (limit.key, limit.rate)
        if book[key].rate == rate { return }
        try await replace(key, by: rate) { $0.rate != rate }
    }

    /// Makes the tokens of a limit anew, whose queues are gone.
    func renew(_ key: RateLimitKey, after nonce: String) async throws {
        try await replace(key, by: book[key].rate) { $0.nonce == nonce }
    }

    private func replace(_ key: RateLimitKey, by rate: RateLimit?, where isOld: (RateLimitState) -> Bool) async throws {
        let lock = try await lock(of: key)
        do {
            try await book.catchUp()
            let old = book[key]
            if isOld(old) { try await replace(old, of: key, by: rate) }
        } catch {
            await lock.release()
            throw error
        }
        await lock.release()
    }

    /// The tokens count once the log names their queues; what an interrupted minting leaves behind counts for nobody.
    private func replace(_ old: RateLimitState, of key: RateLimitKey, by rate: RateLimit?) async throws {
        let nonce = String(UInt64.random(in: .min ... .max), radix: 36)
        if let rate { try await mint(rate, of: key, nonce) }
        try await retrying { try await book.append(.set(rate: rate, nonce: nonce), to: key) }
        try await book.catchUp()
        client.logger.info("\(key) is kept at \(rate?.description ?? "no rate")")
        for gone in [old.nonce, book[key].nonce == nonce ? nil : nonce].compactMap(\.self) {
            try await client.broker.deleteQueue(client.names.tokens(key, nonce: gone))
            try await client.broker.deleteQueue(client.names.spentTokens(key, nonce: gone))
        }
    }

    /// The tokens begin as spent ones, so that whoever changes a rate, however often, allows no more by that.
    private func mint(_ rate: RateLimit, of key: RateLimitKey, _ nonce: String) async throws {
        let (broker, names) = (client.broker, client.names)
        let (tokens, spent) = (names.tokens(key, nonce: nonce), names.spentTokens(key, nonce: nonce))
        let queue = QueueDeclaration(name: tokens, kind: .tokens(deadLetter: .queue(spent)))
        let room = QueueDeclaration(name: spent, kind: .waitingRoom(lifetime: rate.tokenLifetime, then: tokens))
        try await broker.declareQueue(queue)
        try await broker.declareQueue(room)
        // What was confirmed in part is not repeated under the same name: that would be more than the rate.
        try await broker.publish(
            (0..<rate.burst).map { Message(id: String($0), type: Self.tokenType) },
            to: spent
        )
    }

    private func lock(of key: RateLimitKey) async throws -> any BrokerLock {
        while true {
            if let lock = try await retrying({ try await client.broker.acquireLock(client.names.limitLock(key)) }) {
                return lock
            }
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    /// The type of messages that are tokens.
    static let tokenType = "token"
}
