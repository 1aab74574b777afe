import SheafCore
import SheafFlows
import Testing

@testable import SheafSettings

@Suite struct RateLimitSettingsTests {
    @Test("Flows share a named limit or have a rate of their own") func flowsShareALimitByItsNameOrHaveARate() throws {
        let settings = try SettingsFixtures.load(
            """
            limits:
              openai: 600/m
              search: {rate: 5/s}
              polite: {}
            flows:
              one: {echo: true, limit: openai}
              two: {echo: true, limit: openai}
              three: {echo: true, limit: search}
              four: {echo: true, limit: polite}
              five: {echo: true, rate: 100/s}
              six: {echo: true}
            """
        )
        func limit(_ flow: String) throws -> FlowRateLimit? { try settings.flow(named: flow).definition().rateLimit }
        let openai = try #require(try limit("one"))
        #expect(openai == FlowRateLimit(key: .shared(Name("openai")), rate: RateLimit("600/m")))
        #expect(try limit("two") == openai)
        #expect(try limit("three")?.rate == RateLimit("5/s"))
        #expect(try limit("four") == FlowRateLimit(key: .shared(Name("polite"))))
        #expect(try limit("five") == FlowRateLimit(key: .flow(Name("five")), rate: RateLimit("100/s")))
        #expect(try limit("six") == nil)
    }

    @Test(
        "A mistake in a limit is reported",
        arguments: [
            ("flows: {a: {echo: true, rate: fast}}", "expected a rate such as 100/s, 600/m or 5000/h"),
            ("flows: {a: {echo: true, rate: 0/s}}", "expected a rate"),
            ("flows: {a: {echo: true, rate: 10}}", "expected a rate"),
            (
                "flows: {a: {echo: true, limit: openai}}",
                "unknown limit 'openai'; no limit is defined; add one at the top"
            ),
            (
                "limits: {openai: 1/s}\nflows: {a: {echo: true, limit: opena}}",
                "unknown limit 'opena'; known limits are openai"
            ),
            ("limits: {openai: 1/s}\nflows: {a: {echo: true, limit: openai, rate: 1/s}}", "it has both rate and limit"),
            ("limits: {a b: 1/s}", "is not a valid limit name"),
            ("limits: {a: {rat: 1/s}}", "unknown key"),
            ("limits: [1]", "expected a map of limits by name"),
        ]
    )
    func reportsMistakes(yaml: String, message: String) throws {
        let error = try SettingsFixtures.error(yaml)
        #expect(error.contains(message), "\(error)")
    }
}
