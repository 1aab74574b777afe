/// An entry of the log of rate limits.
package struct RateLimitEntry: Sendable, Equatable {
    package enum Event: Sendable, Equatable {
        /// The limit has a new rate, enforced by the tokens in the queues with this nonce; nil means no rate.
        case set(rate: RateLimit?, nonce: String)
        /// The service asked for a pause of this length; `level` counts such requests in a row.
        case throttled(delay: Duration, level: Int, reason: String)

        package var type: String {
            switch self {
            case .set: "limit"
            case .throttled: "throttled"
            }
        }
    }

    /// The maximum length of a pause.
    package static let longestDelay = Duration.seconds(24 * 3600)
    private static let longestReason = 500
    private static let longestNonce = 32
    private static let highestLevel = 64

    package var key: RateLimitKey
    /// When the event happened, by the writer's clock.
    package var at: Timestamp
    /// The worker that wrote the entry.
    package var worker: String
    package var event: Event

    package init(key: RateLimitKey, at: Timestamp, worker: String, event: Event) {
        self.key = key
        self.at = at
        self.worker = worker
        self.event = event
    }

    package var message: Message {
        let body: JSONValue
        switch event {
        case .set(let rate, let nonce):
            body = [
                "key": .string(key.text), "at": .string(at.description), "worker": .string(worker),
                "rate": .optional(rate?.description), "nonce": .string(nonce),
            ]
        case .throttled(let delay, let level, let reason):
            body = [
                "key": .string(key.text), "at": .string(at.description), "worker": .string(worker),
                "delay_ms": .integer(Int(delay / .milliseconds(1))), "level": .integer(level),
                "reason": .string(String(reason.prefix(Self.longestReason))),
            ]
        }
        return Message(type: event.type, contentType: "application/json", body: body.bytes)
    }

    /// Decodes an entry; returns nil if the message is not one.
    package init?(_ message: Message) {
        guard let body = try? JSON.parse(message.body),
            let key = body["key"]?.stringValue.flatMap({ RateLimitKey($0) }),
            let at = body["at"]?.stringValue.flatMap({ Timestamp($0) }),
            let event = Self.event(message.type, body)
        else { return nil }
        self.init(key: key, at: at, worker: body["worker"]?.stringValue ?? "", event: event)
    }

    private static func event(_ type: String, _ body: JSONValue) -> Event? {
        switch type {
        case "limit":
            guard let nonce = body["nonce"]?.stringValue, Name(nonce) != nil, nonce.count <= longestNonce,
                let text = body["rate"]
            else { return nil }
            if text == .null { return .set(rate: nil, nonce: nonce) }
            return text.stringValue.flatMap { RateLimit($0) }.map { .set(rate: $0, nonce: nonce) }
        case "throttled":
            guard let milliseconds = body["delay_ms"]?.intValue, milliseconds >= 0 else { return nil }
            let longest = Int(longestDelay / .milliseconds(1))
            return .throttled(
                delay: .milliseconds(min(milliseconds, longest)),
                level: min(max(body["level"]?.intValue ?? 0, 0), highestLevel),
                reason: String((body["reason"]?.stringValue ?? "").prefix(longestReason))
            )
        default: return nil
        }
    }
}
