import ArgumentParser
import Foundation
import Sheaf
import SheafCore

extension SheafCommand {
    /// Answers a question.
    struct Answer: SessionCommand {
        static let configuration = CommandConfiguration(
            abstract: "Answer the question that a task of an interactive batch waits for.",
            discussion: """
                The first answer counts; a second one is refused with what was answered (exit code 4). Where the question \
                has choices, the answer must be one of them; '' stands for the question's default.

                Examples:
                  sheaf answer last:17 yes
                  sheaf answer review-42:3 ''
                """
        )

        @Argument(help: "The task as BATCH:NUMBER, as 'sheaf questions' shows it.")
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
            session.console.say("task \(question.task) has its answer: \(answer)")
            if json.isOn { try session.console.print(question.json.adding(["answer": .string(answer)]).text) }
        }
    }
}
