import ArgumentParser
import Sheaf
import SheafCore
import Testing

@testable import SheafCommands

/// What is said of limits and questions.
@Suite struct WaitingTests {
    private let now = Timestamp(milliseconds: 1_700_000_000_000)

    @Test func aLimitIsNamedAndItsPauseTold() throws {
        let name = try #require(Name("openai"))
        #expect(Wording.limit(RateLimitWait(key: .shared(name), tasks: 3), now: now) == "3 tasks for limit 'openai'")
        let paused = RateLimitWait(key: .flow(name), tasks: 1, until: now + .seconds(90))
        #expect(Wording.limit(paused, now: now) == "1 task for flow 'openai', which is paused for another 1 min 30 s")
    }

    @Test func questionsAreShownAndNothingOfThemIsObeyed() throws {
        let question = OpenQuestion(
            batch: try #require(Name("b")),
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

    @Test func theCommandsAreRead() throws {
        let answer = try SheafCommand.parseAsRoot(["answer", "b:17", "yes"]) as? SheafCommand.Answer
        #expect(answer?.task == "b:17" && answer?.value == "yes")
        let questions = try SheafCommand.parseAsRoot(["questions", "last", "--json"]) as? SheafCommand.Questions
        #expect(questions?.batch == "last" && questions?.json.isOn == true)
        let create = try SheafCommand.parseAsRoot(["create", "echo", "-", "--interactive"]) as? SheafCommand.Create
        #expect(create?.publishing.interactive == true)
        #expect(throws: (any Error).self) { try SheafCommand.parseAsRoot(["answer", "b:17"]) }
    }
}
