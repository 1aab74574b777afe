import SheafFlows
import Testing

@testable import SheafSettings

@Suite struct RetrySettingsTests {
    private func rule(_ line: String) throws -> RetryRule {
        let settings = try SettingsFixtures.load("flows:\n  f:\n    exec: [cat]\n\(line)\n")
        return try settings.flow(named: "f").definition().retryRule
    }

    @Test("The retry rule is read from retry_on and the delays") func readsTheRule() throws {
        #expect(try rule("") == RetryRule())
        #expect(try rule("    retry_on: all").condition == .all)
        #expect(try rule("    retry_on: none").condition == RetryRule.Condition.none)
        #expect(try rule("    retry_on: []").condition == RetryRule.Condition.none)
        #expect(try rule("    retry_on: timeout").condition == .listed(types: ["timeout"], exitCodes: []))
        #expect(
            try rule("    retry_on: [signal, 75, 3, timeout]").condition
                == .listed(types: ["signal", "timeout"], exitCodes: [75, 3])
        )
        let delays = try rule("    retry_delay: 250ms\n    retry_max_delay: 10s")
        #expect(delays.delay == .milliseconds(250))
        #expect(delays.maximumDelay == .seconds(10))
        #expect(try rule("    retry_max_delay: 500ms").delay == .milliseconds(500))
    }

    @Test("The acknowledgement time-out comes from the file or the environment") func readsTheAcknowledgementTimeout()
        throws
    {
        #expect(try SettingsFixtures.load("").acknowledgementTimeout == .seconds(1800))
        #expect(try SettingsFixtures.load("acknowledgement_timeout: 2h").acknowledgementTimeout == .seconds(7200))
        let set = try SettingsFixtures.load("", environment: ["SHEAF_ACKNOWLEDGEMENT_TIMEOUT": "5m"])
        #expect(set.acknowledgementTimeout == .seconds(300))
    }

    @Test("The exit code after a drain comes from the file or the environment, and is 143 by default")
    func readsTheExitCodeAfterADrain() throws {
        #expect(try !SettingsFixtures.load("").exitsZeroAfterDrain)
        #expect(try SettingsFixtures.load("exit_zero_after_drain: true").exitsZeroAfterDrain)
        let variables = ["SHEAF_EXIT_ZERO_AFTER_DRAIN": "true"]
        #expect(try SettingsFixtures.load("", environment: variables).exitsZeroAfterDrain)
        #expect(throws: SettingsError.self) { try SettingsFixtures.load("exit_zero_after_drain: 143") }
    }
}
