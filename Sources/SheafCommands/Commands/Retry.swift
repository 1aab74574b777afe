import ArgumentParser
import OrderedCollections
import Sheaf
import SheafCore
import SheafSources

extension SheafCommand {
    /// Runs tasks of a batch again.
    struct Retry: SessionCommand {
        static let configuration = CommandConfiguration(
            abstract: "Run again what failed; the batch goes back to processing.",
            discussion: """
                The tasks keep their ids, and their new outcomes take the place of the old ones. A batch that its \
                error policy has stopped goes on with that. An interrupted retry has changed nothing: repeat it.

                --missing mends what the broker lost, such as a deleted queue: tasks without an outcome that wait \
                nowhere and that nobody runs are published again. Their records come from the input that the batch was \
                made from, unchanged; it is named again here only where it was standard input or very many files.

                Examples:
                  sheaf retry last
                  sheaf retry last --index 3,7-9
                  sheaf retry last --missing
                """
        )

        @Argument(help: "The batch's id, or 'last' for the newest one.")
        var batch: String

        @Argument(
            help: ArgumentHelp("With --missing: the input that the batch was made from.", valueName: "input"),
            completion: .file()
        )
        var inputs: [String] = []

        @Flag(help: "Run all tasks again that failed (default).")
        var failed = false

        @Option(
            help: ArgumentHelp("Run only these again, of those that failed, such as 3,7-9.", valueName: "numbers"),
            transform: { text in
                guard let ranges = IndexRanges(text) else {
                    throw ValidationError("It must be numbers and ranges separated by commas, such as 3,7-9.")
                }
                return ranges
            }
        )
        var index: IndexRanges?

        @Flag(help: "Publish again what the broker lost.")
        var missing = false

        @Flag(help: "With --missing: also where it is not sure that the tasks are lost.")
        var force = false

        @OptionGroup var json: JSONOption
        @OptionGroup(title: "Common") var common: CommonOptions

        func validate() throws {
            if missing, failed || index != nil {
                throw ValidationError("--missing goes neither with --failed nor with --index.")
            }
            if !missing, force || !inputs.isEmpty {
                throw ValidationError("An input and --force go with --missing.")
            }
        }

        @concurrent
        func run(in session: Session) async throws {
            let report = try await session.withClient { client in
                if !missing { return try await client.retry(batch, only: index) }
                let record = try await client.batch(batch).record
                return try await client.retryMissing(record.id.text, isForced: force) { record in
                    let command = "sheaf retry \(record.id) --missing"
                    let input = try InputOptions.parse(["--flow=\(record.flow)"] + inputs.map { "--input=\($0)" })
                    return try await RecordedInput(of: record, client: client, command: command).open(input).chunks()
                }
            }
            for line in Wording.retry(report, of: missing ? .missing : index == nil ? .failed : .named) {
                session.console.say(line)
            }
            if json.isOn { try session.console.print(report.json.text) }
        }
    }
}
