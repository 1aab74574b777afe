import ArgumentParser
import Foundation
import Sheaf
import SheafCore
import SheafFormats

extension SheafCommand {
    /// Lists the open questions.
    struct Questions: SessionCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the open questions of interactive batches.",
            usage: "sheaf questions [<options>] [<batch>]",
            discussion: """
                Tasks of a batch that was created with 'sheaf create --interactive' can ask questions. A question \
                stays open until it is answered, the task times out, or the batch ends. It outlives the worker that \
                asked.

                Examples:
                  sheaf questions
                  sheaf questions last --json
                """
        )

        @Argument(help: "The batch's id, or 'last' for the newest one; default: all batches that have not ended.")
        var batch: String?

        @OptionGroup var json: JSONOption
        @OptionGroup var common: CommonOptions

        @concurrent
        func run(in session: Session) async throws {
            let questions = try await session.withClient { client in try await client.questions(of: batch) }
            if json.isOn {
                try session.console.print(JSONValue.array(questions.map(\.json)).text)
            } else if questions.isEmpty {
                session.console.say("there are no open questions")
            } else {
                for line in QuestionTable.lines(questions, now: .now) { try session.console.print(line) }
            }
        }
    }

    /// Answers a question.
    struct Answer: SessionCommand {
        static let configuration = CommandConfiguration(
            abstract: "Answer the question that a task of an interactive batch waits for.",
            usage: "sheaf answer [<options>] <task> <value>",
            discussion: """
                The first answer counts. A second one is refused (exit code 4), with the first in the message unless \
                the task has ended. If the question has choices, the answer must be one of them. '' stands for the \
                question's default.

                Examples:
                  sheaf answer last:17 yes
                  sheaf answer review-42:3 ''
                """
        )

        @Argument(help: "The task as BATCH:NUMBER, as 'sheaf questions' prints it.")
        var task: String

        @Argument(help: "The answer.")
        var value: String

        @OptionGroup var json: JSONOption
        @OptionGroup var common: CommonOptions

        @concurrent
        func run(in session: Session) async throws {
            let author = "\(NSUserName())@\(ProcessInfo.processInfo.hostName)"
            let (question, answer) = try await session.withClient { client in
                try await client.answer(task, with: value, by: author)
            }
            session.console.say("task \(question.task) was answered: \(answer)")
            if json.isOn { try session.console.print(question.json.adding(["answer": .string(answer)]).text) }
        }
    }
}
