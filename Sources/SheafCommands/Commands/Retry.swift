import ArgumentParser
import OrderedCollections
import Sheaf
import SheafCore
import SheafSettings
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
                nowhere and that nobody runs are published again. Their records come from the input, named again \
                here where it is not that of the configuration, and unchanged.

                Examples:
                  sheaf retry last
                  sheaf retry last --index 3,7-9
                  sheaf retry last --missing texts
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

        @Option(help: "With --missing: how the input is cut into records; left out: by the ending of its names.")
        var format: SourceFormat?

        @Option(
            help: ArgumentHelp("With --missing: the field that holds a record's id.", valueName: "field")
        )
        var idField: String?

        @OptionGroup var json: JSONOption
        @OptionGroup(title: "Common") var common: CommonOptions

        func validate() throws {
            if missing, failed || index != nil {
                throw ValidationError("--missing goes neither with --failed nor with --index.")
            }
            if !missing, force || format != nil || idField != nil || !inputs.isEmpty {
                throw ValidationError("An input, --format, --id-field and --force go with --missing.")
            }
        }

        @concurrent
        func run(in session: Session) async throws {
            let report = try await session.withClient { client in
                if !missing { return try await client.retry(batch, only: index) }
                let record = try await client.batch(batch).record
                let flow = session.settings.flows[record.flow]
                return try await client.retryMissing(
                    record.id.text,
                    isForced: force,
                    defaults: flow?.parameters ?? [:],
                    from: { try await Self.open($0, in: session, again: inputs, format: format, idField: idField) }
                )
            }
            for line in Wording.retry(report, of: missing ? .missing : index == nil ? .failed : .named) {
                session.console.say(line)
            }
            if json.isOn { try session.console.print(report.json.text) }
        }

        /// Opens the input of a batch again, and chooses the same records as then.
        private static func open(
            _ batch: BatchRecord,
            in session: Session,
            again inputs: [String],
            format: SourceFormat?,
            idField: String?
        ) async throws -> RecordChunks {
            let flow = try session.flow(named: batch.flow.text)
            var arguments = ["--flow=\(batch.flow)"] + inputs.map { "--input=\($0)" }
            if let format { arguments.append("--format=\(format.rawValue)") }
            if let idField { arguments.append("--id-field=\(idField)") }
            arguments.append(batch.options.seed.map { "--seed=\($0)" } ?? "--no-shuffle")
            if let most = batch.options.maxRecords { arguments.append("--max-records=\(most)") }
            let options = try InputOptions.parse(arguments)
            let source = try flow.source(options, seed: batch.options.seed ?? 0, readsStandardInput: false)
            return try await RecordSource.open(source).chunks()
        }
    }
}
