import ArgumentParser
import Sheaf
import SheafCore
import SheafFormats
import Testing

@testable import SheafCommands

/// What is printed about submissions.
@Suite("Tables of submissions") struct SubmissionTableTests {
    private let now = Timestamp(milliseconds: 1_700_000_000_000)

    @Test("An unclear submission is shown with how to decide about it, and its text is escaped") func unclear() {
        var submission = Submission(key: "sheafk", batch: "b", flow: "f", announcedAt: now)
        (submission.state, submission.message) = (.unclear, "\u{1B}[31mno answer")
        let lines = SubmissionTable.lines([submission], costs: [nil], now: now + .seconds(90))
        #expect(lines.count == 2 && lines[1].contains("sheafk") && lines[1].contains("1 min 30 s ago"))
        #expect(lines[1].contains("'sheaf submissions resolve sheafk' decides about it"))
        let details = SubmissionTable.details(submission, cost: nil, now: now)
        #expect((lines + details).allSatisfy { !$0.contains("\u{1B}") })
        #expect(Wording.submissions([submission]) == "1 unclear")
        submission.rejection = "it is not batch_9"
        #expect(SubmissionTable.lines([submission], costs: [nil], now: now)[1].contains("it is not batch_9"))
        submission.resolution = .notCreated
        let decided = SubmissionTable.details(submission, cost: nil, now: now)
        #expect(decided.contains { $0.hasSuffix("it was not created") })
        (submission.state, submission.id) = (.ended, "batch_1")
        #expect(Wording.submissions([submission]) == nil && submission.json["id"] == "batch_1")
    }

    @Test("The commands for submissions are parsed") func parsing() throws {
        let list = try SheafCommand.parseAsRoot(["submissions", "b1", "--json"])
        #expect((list as? SheafCommand.Submissions.List)?.batch == "b1")
        #expect(CommandNames.unknownCommand(in: ["submissions", "b1"]) == nil)
        #expect(CommandNames.unknownCommand(in: ["dead", "b1"]) != nil)
        let show = try SheafCommand.parseAsRoot(["submissions", "show", "batch_1", "--requests"])
        #expect((show as? SheafCommand.Submissions.Show)?.requests == true)
        let resolve = try SheafCommand.parseAsRoot(["submissions", "resolve", "k", "--id", "batch_1"])
        #expect((resolve as? SheafCommand.Submissions.Resolve)?.id == "batch_1")
        for arguments in [["k"], ["k", "--id", "x", "--not-created"]] {
            #expect(throws: (any Error).self) { try SheafCommand.parseAsRoot(["submissions", "resolve"] + arguments) }
        }
        let adopt = try SheafCommand.parseAsRoot(["adopt", "f", "batch_1"]) as? SheafCommand.Adopt
        #expect(adopt?.flow == "f" && adopt?.submission == "batch_1")
    }
}
