import SheafCore
import Testing

@Suite("Rate limits") struct RateLimitTests {
    @Test("Valid rates are parsed, and invalid ones are rejected") func ratesAreRead() throws {
        for (text, perSecond, burst) in [
            ("100/s", 100.0, 10), ("600/m", 10, 1), ("1/h", 1.0 / 3600, 1), ("70/s", 70, 7), ("15/s", 15, 2),
            ("1000/d", 1000.0 / 86400, 1),
        ] {
            let rate = try #require(RateLimit(text), "\(text)")
            #expect(abs(rate.perSecond - perSecond) < 1e-9 && rate.burst == burst && rate.description == text)
        }
        for text in [
            "", "100", "0/s", "-1/s", "1.5/s", "100/", "/s", "10/w", "10001/s", "1/s/s", "99999999999999999999/s",
        ] {
            #expect(RateLimit(text) == nil, "\(text)")
        }
    }

    @Test(
        "The lifetime of tokens allows the rate and not more",
        arguments: ["100/s", "600/m", "15/s", "1/h", "9999/s", "7/s"]
    )
    func tokensAllowTheRateAndNoMore(text: String) throws {
        let rate = try #require(RateLimit(text))
        // A cycle takes at least the lifetime plus one millisecond.
        let cycle = rate.tokenLifetime / .seconds(1) + 0.001
        let allowed = Double(rate.burst) / cycle
        #expect(allowed >= rate.perSecond * 0.9999 && allowed <= rate.perSecond * 1.011)
    }

    @Test("Keys, entries and waits are decoded as they were encoded") func keysAndEntriesAreReadAsTheyWereWritten()
        throws
    {
        let name: Name = "open-ai"
        let rate = try #require(RateLimit("600/m"))
        for key in [RateLimitKey.shared(name), .flow(name)] {
            #expect(RateLimitKey(key.text) == key)
            let events: [RateLimitEntry.Event] = [
                .set(rate: rate, nonce: "abc"), .set(rate: nil, nonce: "1"),
                .throttled(delay: .milliseconds(2500), level: 3, reason: "429"),
            ]
            for event in events {
                let entry = RateLimitEntry(
                    key: key,
                    at: Timestamp(milliseconds: 1_700_000_000_000),
                    worker: "w",
                    event: event
                )
                #expect(RateLimitEntry(entry.message) == entry)
            }
            let wait = RateLimitWait(key: key, tasks: 3, until: Timestamp(milliseconds: 1_700_000_000_000))
            #expect(RateLimitWait(json: wait.json) == wait)
            let other = RateLimitWait(key: key, tasks: 2)
            #expect(wait.joined(with: other).tasks == 5 && wait.joined(with: other).until == wait.until)
        }
        for text in ["", "openai", "limit.", "limit.a.b", "batch.a", "limit.a b"] {
            #expect(RateLimitKey(text) == nil, "\(text)")
        }
    }

    @Test(
        "Invalid rate limit entries are rejected",
        arguments: [
            #"{"key":"limit.a","at":"2026-01-01T00:00:00Z","rate":"fast","nonce":"n"}"#,
            #"{"key":"limit.a","at":"2026-01-01T00:00:00Z","nonce":"n"}"#,
            #"{"key":"limit.a","at":"2026-01-01T00:00:00Z","rate":"1/s","nonce":"a.b"}"#,
            #"{"key":"nothing","at":"2026-01-01T00:00:00Z","rate":"1/s","nonce":"n"}"#,
            #"{"key":"limit.a","rate":"1/s","nonce":"n"}"#, "[]", "",
        ]
    )
    func invalidEntries(body: String) {
        #expect(RateLimitEntry(Message(type: "limit", body: Array(body.utf8))) == nil)
    }

    @Test("A pause is at most one day long") func noPauseIsLongerThanADay() throws {
        let body = #"{"key":"limit.a","at":"2026-01-01T00:00:00Z","delay_ms":9000000000,"level":-4}"#
        let entry = try #require(RateLimitEntry(Message(type: "throttled", body: Array(body.utf8))))
        #expect(entry.event == .throttled(delay: RateLimitEntry.longestDelay, level: 0, reason: ""))
    }
}
