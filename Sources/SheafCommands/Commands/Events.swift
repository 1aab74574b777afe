import ArgumentParser
import Sheaf
import SheafCore
import SheafFormats

extension SheafCommand {
    /// Prints what the logs record about a batch.
    struct Events: SessionCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print what the logs record about a batch or one of its tasks.",
            usage: "sheaf events [<options>] <batch>",
            discussion: """
                Prints one line for each entry of the journal, of the batch's results log and of its questions: time, \
                log and offset, task, event, generation, attempt, worker, and error. Failed attempts that were retried \
                are listed as attempt-failed. An outcome that does not count, because another came first, is marked \
                as ignored. Use this to find out why a task ran twice.

                Examples:
                  sheaf events last --index 17
                  sheaf events last --json
                """
        )

        @Argument(help: "The batch's id, or 'last' for the newest one.")
        var batch: String

        @Option(
            help: ArgumentHelp(
                "Only events of this task, from 0, and of the batch itself; default: all.",
                valueName: "n"
            )
        )
        var index: Int?

        @OptionGroup var json: JSONOption
        @OptionGroup var common: CommonOptions

        func validate() throws {
            if let index, index < 0 { throw ValidationError("--index must be 0 or more") }
        }

        @concurrent
        func run(in session: Session) async throws {
            let console = session.console
            try await session.withClient { client in
                // Each element is written at once, so that a large batch takes no memory.
                var isFirst = true
                try await client.events(of: batch, index: index) { event in
                    if json.isOn {
                        try console.print((isFirst ? "[" : ",") + event.json.text)
                    } else {
                        try console.print(EventLines.line(event))
                    }
                    isFirst = false
                }
                if json.isOn { try console.print(isFirst ? "[]" : "]") }
            }
        }
    }
}
