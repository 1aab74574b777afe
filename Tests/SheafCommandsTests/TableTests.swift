import ArgumentParser
import Sheaf
import SheafBroker
import SheafCore
import SheafFormats
import Testing

@testable import SheafBatches
@testable import SheafCommands

/// What is printed about rate limits and questions.
@Suite struct WaitingTests {
    private let now = Timestamp(milliseconds: 1_700_000_000_000)

    @Test("A rate limit is named with its pause") func limitIsNamedWithItsPause() throws {
        let name = Name("openai")
        #expect(Wording.limit(RateLimitWait(key: .shared(name), tasks: 3), now: now) == "3 tasks for limit 'openai'")
        let paused = RateLimitWait(key: .flow(name), tasks: 1, until: now + .seconds(90))
        #expect(Wording.limit(paused, now: now) == "1 task for flow 'openai', which is paused for another 1 min 30 s")
    }

    @Test("Questions are shown with control characters escaped") func questionsAreEscaped() throws {
        let question = OpenQuestion(
            batch: Name("b"),
            id: QuestionID(index: 17, generation: 0, number: 1),
            question: Question("\u{1B}[31mKeep?", choices: ["yes", "no"], fallback: "no"),
            worker: "w",
            askedAt: now
        )
        let lines = QuestionTable.lines([question], now: now + .seconds(5))
        #expect(lines.count == 2)
        #expect(lines.last?.contains("b:17") == true && lines.last?.contains("yes, no") == true)
        #expect(lines.allSatisfy { !$0.contains("\u{1B}") })
        #expect(question.json["task_id"] == "b:17" && question.json["default"] == "no")
    }

    @Test("The commands for questions are parsed") func theCommandsAreRead() throws {
        let answer = try SheafCommand.parseAsRoot(["answer", "b:17", "yes"]) as? SheafCommand.Answer
        #expect(answer?.task == "b:17" && answer?.value == "yes")
        let questions = try SheafCommand.parseAsRoot(["questions", "last", "--json"]) as? SheafCommand.Questions
        #expect(questions?.batch == "last" && questions?.json.isOn == true)
        let create = try SheafCommand.parseAsRoot(["create", "echo", "-", "--interactive"]) as? SheafCommand.Create
        #expect(create?.publishing.interactive == true)
        #expect(throws: (any Error).self) { try SheafCommand.parseAsRoot(["answer", "b:17"]) }
    }
}

@Suite struct DeadLetterTableTests {
    private func letter(_ time: Timestamp?) -> DeadLetter {
        let message = Message(id: "j", type: "junk", headers: [.init(DeathHeaders.reason, .string("rejected"))])
        return DeadLetter(LogEntry(offset: 17, message: message, time: time))
    }

    @Test("Dead letters have a time if it is known") func timeOfALetter() {
        let came = Timestamp(milliseconds: 1_700_000_000_000)
        let lines = DeadLetterTable.lines([letter(came), letter(nil)], now: came + .seconds(90))
        #expect(lines.count == 3)
        #expect(lines[0].split(separator: " ").prefix(3) == ["NUMBER", "CAME", "REASON"])
        #expect(lines[1].contains(" 17  1 min 30 s ago  rejected"))
        #expect(lines[2].contains(" 17  -               rejected"))
        #expect(letter(came).json["at"] == "2023-11-14T22:13:20.000Z")
        #expect(letter(nil).json["at"] == .null)
        let message = Message()
        #expect(DeadLetterTable.details(letter(came), message).contains("came: 2023-11-14T22:13:20.000Z"))
        #expect(DeadLetterTable.details(letter(nil), message).contains("came: unknown"))
    }
}

@Suite struct EventLinesTests {
    private let at = Timestamp(milliseconds: 1_700_000_000_000)

    @Test("An event is one line with log, offset, task and attempt")
    func attempt() {
        let event = BatchEvent(
            log: .results,
            offset: 12,
            at: at,
            what: "attempt-failed",
            index: 3,
            generation: 1,
            attempt: 2,
            worker: "host:4711",
            error: Outcome.Failure(type: "exit-code", message: "exit code 1\nno\u{1B}[31m")
        )
        #expect(
            EventLines.line(event)
                == "2023-11-14T22:13:20.000Z  results:12  task 3  attempt-failed  generation 1  attempt 2"
                + "  by host:4711  exit-code: exit code 1\\nno\\u{1B}[31m"
        )
        #expect(event.json["event"] == "attempt-failed" && event.json["attempt"] == 2 && event.json["detail"] == .null)
    }

    @Test("An event of the batch has no task, and an outcome that does not count is marked")
    func batchAndIgnored() {
        let sealed = BatchEvent(log: .journal, offset: 4, what: "sealed", detail: "3 tasks")
        #expect(EventLines.line(sealed) == "-  journal:4  batch  sealed  3 tasks")
        let late = BatchEvent(log: .results, offset: 9, what: "succeeded", index: 0, isIgnored: true)
        #expect(EventLines.line(late) == "-  results:9  task 0  succeeded (ignored)")
        #expect(late.json["ignored"] == true && sealed.json["index"] == .null)
    }
}
