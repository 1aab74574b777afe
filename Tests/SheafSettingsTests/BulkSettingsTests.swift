import SheafCore
import SheafFlows
import SheafProviders
import Testing

@testable import SheafSettings

/// Reading `bulk` of a flow.
@Suite struct BulkSettingsTests {
    private static let chat = "flows:\n  f:\n    chat: { model: m, prompt: \"{{n}}\" }\n"

    private func flow(_ lines: String...) throws -> FlowSettings {
        let yaml = Self.chat + lines.map { "    \($0)\n" }.joined()
        return try SettingsFixtures.load(yaml).flow(named: "f")
    }

    @Test("A map sets how submissions are made") func everyKey() throws {
        let settings = try flow(
            "bulk: { queue_threshold: 100, wait_time: 5m, max_bytes: 1MB, time_threshold: 3h, time_interval: 1m }"
        )
        let flow = try #require(settings.flow as? SubmissionFlow)
        #expect(flow.maximumTasks == 100 && flow.maximumBytes == 1_000_000 && flow.pace.longest == .seconds(300))
        #expect(flow.maximumWait == .seconds(3 * 3_600) && flow.waitInterval == .seconds(60))
        #expect(settings.timeout == nil, "a job takes as long as its provider needs")
    }

    @Test("true uses the defaults, and false is the live flow") func switches() throws {
        let settings = try flow("bulk: true", "timeout: 2h")
        let bulk = try #require(settings.flow as? SubmissionFlow)
        #expect(bulk.maximumTasks == 50_000 && bulk.maximumWait == .seconds(7_200))
        #expect(bulk.waitInterval == .seconds(600))
        #expect(settings.timeout == .seconds(7_200))
        let live = try flow("bulk: false")
        #expect(live.flow is ChatFlow && live.timeout == .seconds(600))
    }

    @Test(
        "Each provider has limits of its own",
        arguments: [
            ("openai", 50_000, "201MB"), ("azure, base_url: \"https://r.openai.azure.com\"", 90_000, "201MB"),
            ("anthropic", 90_000, "257MB"),
        ]
    ) func limits(provider: String, requests: Int, tooLarge: String) throws {
        let yaml = "flows:\n  f:\n    chat: { provider: \(provider), model: m, prompt: x }\n    bulk: "
        let flow = try #require(try SettingsFixtures.load(yaml + "true\n").flow(named: "f").flow as? SubmissionFlow)
        #expect(flow.maximumTasks == requests)
        let error = try SettingsFixtures.error(yaml + "{ max_bytes: \(tooLarge) }\n")
        #expect(error.hasSuffix("the most that the provider accepts"))
    }

    @Test("Azure needs the URL of a resource, and no other provider has versions") func azure() throws {
        let azure = "flows:\n  f:\n    chat: { provider: azure, model: m, prompt: x }\n"
        #expect(try SettingsFixtures.error(azure).contains("set the URL of your resource"))
        let openai = "flows:\n  f:\n    chat: { api_version: v, model: m, prompt: x }\n"
        #expect(try SettingsFixtures.error(openai).contains("only provider: azure has versions"))
    }

    @Test("The tokens in the provider's queue, and the age at which tasks run live, are read") func waiting() throws {
        for (text, tokens) in [("2M", 2_000_000), ("1500", 1_500), ("200k", 200_000), ("30G", 30_000_000_000)] {
            let yaml = Self.chat + "    bulk: { max_enqueued_tokens: \(text), fallback: live, after: 20h }\n"
            let flow = try #require(try SettingsFixtures.load(yaml).flow(named: "f").flow as? SubmissionFlow)
            #expect(flow.thresholds.tokens == tokens && flow.liveAge == .seconds(72_000))
            #expect(flow.maximumBytes <= tokens * 3)
        }
    }

    @Test("Embeddings can be made in bulk") func embeddings() throws {
        let yaml = "flows:\n  f:\n    embedding: { model: m, input: \"{{n}}\" }\n    bulk: true\n"
        #expect(try SettingsFixtures.load(yaml).flow(named: "f").flow is SubmissionFlow)
    }

    @Test(
        "An error in bulk names the key and the cause",
        arguments: [
            ("bulk: { queue_treshold: 5 }", "bulk.queue_treshold: unknown key; did you mean 'queue_threshold'?"),
            (
                "bulk: { max_rows: 2 }",
                "bulk.max_rows: unknown key; known keys are queue_threshold, time_threshold, time_interval, wait_time, "
                    + "max_bytes, max_enqueued_tokens, fallback, after"
            ),
            (
                "bulk: { max_enqueued_tokens: 2T }",
                "bulk.max_enqueued_tokens: expected a number of tokens such as 2000000, 200k or 2M, found '2T'"
            ),
            (
                "bulk: { max_enqueued_tokens: 0 }",
                "bulk.max_enqueued_tokens: expected a number of tokens such as 2000000, 200k or 2M, found the number 0"
            ),
            (
                "bulk: { fallback: live }",
                "bulk.fallback: 'after' is missing, the time after which tasks run live"
            ),
            ("bulk: { after: 20h }", "bulk.after: it has no effect without 'fallback: live'"),
            (
                "bulk: { fallback: wait, after: 20h }",
                "bulk.fallback: expected live: the tasks run by themselves once they have waited as long as 'after' says, "
                    + "found 'wait'"
            ),
            (
                "bulk: { time_threshold: 2 }",
                "bulk.time_threshold: expected a duration such as 500ms, 60s, 5m, 2h or 1d, found the number 2; add a unit, as in 2s"
            ),
            (
                "bulk: { queue_threshold: 0 }",
                "bulk.queue_threshold: expected an integer from 1 to 50000, found the number 0"
            ),
            ("bulk: { wait_time: 1ms }", "bulk.wait_time: less than 100ms would ask the provider without a pause"),
            ("bulk: { max_bytes: 1GB }", "bulk.max_bytes: more than 200MB, the most that the provider accepts"),
            ("bulk: soon", "bulk: expected true, false or a map, such as { queue_threshold: 10000 }, found 'soon'"),
            ("bulk: [1]", "bulk: expected true, false or a map, such as { queue_threshold: 10000 }, found a list"),
        ]
    ) func errors(line: String, message: String) throws {
        #expect(try SettingsFixtures.error(Self.chat + "    \(line)\n") == "sheaf.yaml:4: flows.f.\(message)")
    }

    @Test(
        "The size of a submission is bounded by its provider",
        arguments: [("gemini", "2GB", 50_000), ("mistral", "512MB", 90_000)]
    ) func limits(provider: String, largest: String, requests: Int) throws {
        let chat = "flows:\n  f:\n    chat: { provider: \(provider), model: m, prompt: x }\n"
        let flow = try SettingsFixtures.load(chat + "    bulk: { max_bytes: \(largest) }\n").flow(named: "f").flow
        #expect((flow as? SubmissionFlow)?.maximumTasks == requests)
        let expected = "bulk.max_bytes: more than \(largest), the most that the provider accepts"
        #expect(
            try SettingsFixtures.error(chat + "    bulk: { max_bytes: 3GB }\n") == "sheaf.yaml:4: flows.f.\(expected)"
        )
    }

    @Test("Anthropic has no embeddings") func noEmbeddings() throws {
        let yaml = "flows:\n  f:\n    embedding: { provider: anthropic, model: m, input: x }\n"
        #expect(try SettingsFixtures.error(yaml).contains("Anthropic has no embeddings"))
    }

    @Test("A flow without a model cannot run in bulk") func otherFlows() throws {
        let exec = "flows:\n  f:\n    exec: [a]\n    bulk: true\n"
        #expect(try SettingsFixtures.error(exec).contains("only a flow with chat or embedding can have this key"))
    }
}
