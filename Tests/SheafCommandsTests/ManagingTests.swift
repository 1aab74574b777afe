import ArgumentParser
import Sheaf
import SheafCore
import SheafFormats
import Testing

@testable import SheafCommands

@Suite struct ManagingTests {
    private func parse<Command>(_ type: Command.Type, _ arguments: String...) throws -> Command {
        try #require(try SheafCommand.parseAsRoot(arguments) as? Command)
    }

    @Test("retry takes numbers of tasks, or --missing with inputs") func numbersOfTasks() throws {
        let retry = try parse(SheafCommand.Retry.self, "retry", "b", "--index", "3,7-9")
        #expect(retry.index == IndexRanges("3,7-9"))
        #expect(!retry.missing && retry.inputs.isEmpty)
        let missing = try parse(SheafCommand.Retry.self, "retry", "b", "--missing", "a.csv", "-", "--force")
        #expect(missing.missing && missing.inputs == ["a.csv", "-"] && missing.force)
    }

    @Test(
        "set reads max_running",
        arguments: [("max_running=20", 20), ("max_running=1", 1), ("max_running=none", nil)] as [(String, Int?)]
    )
    func settings(text: String, limit: Int?) throws {
        #expect(try SheafCommand.BatchSetting(text) == .maxRunning(limit))
    }

    @Test(
        "set refuses invalid settings",
        arguments: ["", "max_running", "max_running=", "max_running=-1", "max_running=x", "limit=3", "=3"]
    )
    func brokenSettings(text: String) {
        #expect(throws: (any Error).self) { try SheafCommand.BatchSetting(text) }
    }

    @Test("dead lists dead letters by default") func deadLettersAreListedByDefault() throws {
        _ = try parse(SheafCommand.Dead.List.self, "dead")
        #expect(try parse(SheafCommand.Dead.Show.self, "dead", "show", "17").number == 17)
        #expect(try parse(SheafCommand.Dead.Requeue.self, "dead", "requeue", "--all").all)
        #expect(throws: (any Error).self) { try SheafCommand.parseAsRoot(["dead", "requeue", "1", "--all"]) }
    }

    @Test(
        "Control characters in untrusted text are escaped",
        arguments: [
            ("plain äöü", "plain äöü"), ("\u{1B}[31mred", "\\u{1B}[31mred"), ("a\nb\r\tc", "a\\nb\\r\\tc"),
            ("\u{202E}turned", "\\u{202E}turned"), ("\u{7}\u{9B}x", "\\u{7}\\u{9B}x"),
        ]
    ) func textFromOutsideIsSafe(text: String, shown: String) {
        #expect(TerminalText.line(text) == shown)
    }

    @Test("Long text is cut") func longTextIsCut() {
        #expect(TerminalText.line(String(repeating: "x", count: 50), limit: 10) == "xxxxxxxxx…")
        #expect(TerminalText.line(String(repeating: "x", count: 10), limit: 10).count == 10)
        #expect(
            TerminalText.line(Array(repeating: 0xFF, count: 5), limit: 10) == String(repeating: "\u{FFFD}", count: 5)
        )
        #expect(TerminalText.block(Array("a\n\tb\u{1B}c".utf8)) == "a\n\tb\\u{1B}c")
    }

    @Test("The result of a retry lists what was left out") func aRetrySaysWhatItLeavesOut() throws {
        var journal = JournalState()
        let name = Name("b")
        let created = JournalEntry.Event.created(options: BatchOptions(), source: "", nonce: "n")
        journal.apply(JournalEntry(batch: name, flow: name, at: Timestamp(milliseconds: 0), event: created))
        let info = try #require(journal[name])
        var report = RetryReport(batch: BatchSummary(info: info, progress: nil), generation: 1)
        #expect(Wording.retry(report, of: .failed) == ["batch b has no failed task that can run again"])
        report.retried = 2
        report.invalid = 1
        report.withoutRecord = 3
        let lines = Wording.retry(report, of: .failed)
        #expect(lines.count == 4)
        #expect(lines[0].hasPrefix("2 tasks of batch b run again"))
        #expect(lines[1].hasPrefix("1 failed task left out"))
        #expect(lines[2].hasPrefix("3 tasks left out"))
        #expect(report.json["left_out"]?["invalid"] == 1)
    }
}
