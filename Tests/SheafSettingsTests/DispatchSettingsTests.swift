import OrderedCollections
import SheafCore
import Testing

@testable import SheafSettings

@Suite struct DispatchSettingsTests {
    @Test("A dispatcher has defaults, which its entry replaces")
    func values() throws {
        let settings = try SettingsFixtures.load(
            """
            flows: { words: { exec: [wc] } }
            dispatch:
              words:
              all:
                flow: words
                queue_threshold: 1
                max_bytes: 20MB
                time_threshold: 0
                time_interval: 1s
                requests: partial
                request_kwargs: { temperature: 0, stop: [a] }
                key: tenant
                max_waiting: 5
              full: { flow: echo, requests: full, time_threshold: 1m }
            """
        )
        #expect(settings.dispatchers.keys.map(\.text) == ["words", "all", "full"])
        let words = try #require(settings.dispatchers["words"])
        #expect(words.flow == "words" && words.queueThreshold == 50_000 && words.maxBytes == 200_000_000)
        #expect(words.timeThreshold == .seconds(7200) && words.timeInterval == .seconds(600))
        #expect(words.arguments == [:] && words.key == nil && words.maxWaiting == nil)
        let all = try #require(settings.dispatchers["all"])
        #expect(all.flow == "words" && all.queueThreshold == 1 && all.maxBytes == 20_000_000)
        #expect(all.timeThreshold == .zero && all.timeInterval == .seconds(1))
        #expect(all.arguments == ["temperature": 0, "stop": ["a"]] && all.key == "tenant" && all.maxWaiting == 5)
        #expect(settings.dispatchers["full"]?.timeInterval == .seconds(5))
        #expect(try SettingsFixtures.load("dispatch:").dispatchers.isEmpty)
    }

    @Test("Requests may wait in Redis")
    func redis() throws {
        let settings = try SettingsFixtures.load(
            """
            flows: { a: { exec: [wc] }, b: { exec: [wc] } }
            dispatch:
              a: { queue: "redis://ada:${PASSWORD}@cache:7000/3", queue_key: requests, queue_type: stream }
              b: { queue: "redis://cache" }
            """,
            environment: ["PASSWORD": "s/e@cret"]
        )
        let queue = try #require(settings.dispatchers["a"]?.queue)
        #expect("\(queue.url)" == "redis://cache:7000/3" && queue.key == "requests" && "\(queue.kind)" == "stream")
        #expect(!String(reflecting: settings.dispatchers).contains("cret"))
        #expect(settings.dispatchers["b"]?.queue.map { "\($0.key) \($0.kind)" } == "b list")
        #expect(try SettingsFixtures.load("dispatch: { echo: }").dispatchers["echo"]?.queue == nil)
    }

    @Test(
        "A mistake in a dispatcher is reported",
        arguments: [
            ("dispatch: [a]", "a map of dispatchers by name"),
            ("dispatch: { a b: { flow: echo } }", "not a valid name"),
            ("dispatch: { a: }", "unknown flow 'a'; known flows are echo"),
            ("dispatch: { a: { flow: ecko } }", "did you mean 'echo'?"),
            ("dispatch: { echo: { threshold: 1 } }", "unknown key"),
            ("dispatch: { echo: { queue_threshold: 0 } }", "an integer from 1 to"),
            ("dispatch: { echo: { max_bytes: big } }", "expected a size"),
            ("dispatch: { echo: { max_bytes: 0 } }", "expected a size"),
            ("dispatch: { echo: { time_threshold: 5 } }", "add a unit"),
            ("dispatch: { echo: { time_interval: 1ms } }", "less than 100ms"),
            ("dispatch: { echo: { requests: some } }", "expected partial or full"),
            ("dispatch: { echo: { request_kwargs: 5 } }", "expected a map of arguments"),
            ("dispatch: { echo: { requests: full, request_kwargs: { a: 1 } } }", "have no shared arguments"),
            ("dispatch: { echo: { key: '' } }", "expected the name of a field"),
            ("dispatch: { echo: { max_waiting: 0 } }", "an integer of at least 1"),
            ("dispatch: { echo: { queue: cache } }", "dispatch.echo.queue: the URL of Redis cannot be used"),
            ("dispatch: { echo: { queue: 'amqp://cache' } }", "not redis or rediss"),
            ("dispatch: { echo: { queue: 'redis://${NONE}@cache' } }", "'NONE' is not set"),
            ("dispatch: { echo: { queue_key: requests } }", "it needs a 'queue'"),
            ("dispatch: { echo: { queue: 'redis://cache', queue_type: set } }", "expected list or stream"),
            ("dispatch: { echo: { queue: 'redis://cache', queue_key: '' } }", "the name of a list or stream"),
        ]
    )
    func mistakes(yaml: String, message: String) throws {
        let error = try SettingsFixtures.error(yaml)
        #expect(error.contains(message), "\(error)")
        #expect(error.contains("dispatch"), "\(error)")
    }
}
