import ArgumentParser
import Sheaf
import SheafCore

extension SheafCommand {
    /// Lists the questions that wait for an answer.
    struct Questions: SessionCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the questions of interactive batches that wait for an answer.",
            discussion: """
                Questions come from tasks of batches made with 'sheaf create --interactive'. They stay until somebody \
                answers, the task's time is over, or the batch ends, whatever becomes of the worker that asked.

                Examples:
                  sheaf questions
                  sheaf questions last --json
                """
        )

        @Argument(help: "The batch's id, or 'last' for the newest one; left out: all batches that have not ended.")
        var batch: String?

        @OptionGroup var json: JSONOption
        @OptionGroup var common: CommonOptions

        @concurrent
        func run(in session: Session) async throws {
            let questions = try await session.withClient { client in try await client.questions(of: batch) }
            if json.isOn {
                try session.console.print(JSONValue.array(questions.map(\.json)).text)
            } else if questions.isEmpty {
                session.console.say("nobody waits for an answer")
            } else {
                for line in QuestionTable.lines(questions, now: .now) { try session.console.print(line) }
            }
        }
    }
}
