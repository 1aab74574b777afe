import ArgumentParser
import Sheaf
import SheafCore
import SheafSources

extension SheafCommand {
    /// Publishes a batch.
    struct Create: SessionCommand {
        static let configuration = CommandConfiguration(
            abstract: "Create a batch: publish one task for each record of the input. (The default command.)",
            discussion: """
                An input is a file (JSONL, JSON, CSV, TSV or plain lines, by its ending or --format), a folder or a \
                glob (each file is a record, unless all are JSON or tables), or - for standard input. A record that \
                can not be read becomes a failed task that names file and line; with --strict nothing is published \
                then.

                The batch's id is printed once every task is confirmed by the broker.

                Examples:
                  sheaf wordcount texts/*.txt
                  sheaf create translate books.csv -p 'lang=["de","fr"]' --error-policy stop:5%
                  generate | sheaf create resize - --format jsonl --wait
                  sheaf create wordcount texts --max-records 10 --dry-run
                """
        )

        @OptionGroup(title: "Input") var input: InputOptions
        @OptionGroup(title: "Batch") var publishing: PublishingOptions

        @Flag(help: "Publish nothing, connect to nothing; say what would be published.")
        var dryRun = false

        @Flag(help: "Wait until the batch has ended; the exit code tells how.")
        var wait = false

        @Option(help: ArgumentHelp("With --wait: wait no longer than this, such as 90s or 5m.", valueName: "time"))
        var timeout: TimeSpan?

        @OptionGroup var json: JSONOption
        @OptionGroup(title: "Common") var common: CommonOptions

        func validate() throws {
            if timeout != nil, !wait { throw ValidationError("--timeout goes with --wait.") }
            if dryRun, wait { throw ValidationError("--dry-run and --wait contradict.") }
        }

        @concurrent
        func run(in session: Session) async throws {
            let request = try BatchRequest(
                session.flow(named: input.flow),
                input: input,
                publishing: publishing
            )
            let source = try await RecordSource.open(request.source)
            if request.isStrict { try await StrictCheck(limit: 20).run(source) }
            if dryRun {
                let preview = try await BatchPreview.read(source, request: request)
                try preview.show(on: session.console, json: json.isOn)
                return
            }
            try await session.withClient { client in
                let created = try await BatchCreation(client: client, console: session.console)
                    .run(request, source: source)
                if !json.isOn { try session.console.print(created.id.text) }
                if wait {
                    let follower = BatchFollower(client: client, console: session.console)
                    let extend: (BatchSummary) -> JSONValue = { created.extending($0.json) }
                    try await follower.conclude(
                        created.id.text,
                        timeout: timeout?.duration,
                        json: json.isOn ? extend : nil
                    )
                } else if json.isOn {
                    try session.console.print(created.extending([:]).text)
                }
            }
        }
    }
}
