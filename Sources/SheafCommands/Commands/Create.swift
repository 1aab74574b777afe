import ArgumentParser
import Sheaf
import SheafCore
import SheafFormats
import SheafSettings
import SheafSources

extension SheafCommand {
    /// Publishes a batch.
    struct Create: SessionCommand {
        static let configuration = CommandConfiguration(
            abstract: "Create a batch: publish one task for each record of the input. (The default command.)",
            discussion: """
                An input is a file (JSONL, JSON, CSV, TSV or plain lines, by its ending or --format), a folder or a \
                glob (each file is a record, unless all are JSON or tables), or - for standard input. A record that \
                cannot be read becomes a failed task that names file and line; with --strict, nothing is published in \
                that case.

                The batch's id is printed once the broker has confirmed every task. If a creation was interrupted, \
                --resume publishes the rest, provided that the input has not changed.

                Examples:
                  sheaf wordcount texts/*.txt
                  sheaf create translate books.csv -p 'lang=["de","fr"]' --error-policy stop:5%
                  generate | sheaf create resize - --format jsonl --wait
                  sheaf create wordcount texts --max-records 10 --dry-run
                  sheaf create --resume last
                  sheaf create wordcount texts --skip-succeeded last
                """
        )

        @OptionGroup(title: "Input") var input: InputOptions
        @OptionGroup(title: "Batch") var publishing: PublishingOptions

        @Flag(help: "Publish nothing and connect to nothing; print what would be published.")
        var dryRun = false

        @Flag(help: "Wait until the batch has ended or is stopped; the exit code reports how.")
        var wait = false

        @Option(
            help: ArgumentHelp(
                "With --wait: wait at most this time, such as 90s or 5m; default: no limit.",
                valueName: "time"
            )
        )
        var timeout: TimeSpan?

        @OptionGroup var json: JSONOption
        @OptionGroup var common: CommonOptions

        func validate() throws {
            if timeout != nil, !wait { throw ValidationError("--timeout needs --wait") }
            if dryRun, wait { throw ValidationError("--dry-run and --wait cannot be combined") }
            if dryRun, publishing.resumed != nil { throw ValidationError("--dry-run and --resume cannot be combined") }
            if dryRun, publishing.skipSucceeded != nil {
                throw ValidationError(
                    "--dry-run and --skip-succeeded cannot be combined: --dry-run does not connect to the broker"
                )
            }
        }

        @concurrent
        func run(in session: Session) async throws {
            if let reference = publishing.resumed {
                try await session.withClient { client in
                    let resumption = BatchResumption(session: session, client: client, reference: reference)
                    try await conclude(resumption.run(input: input, publishing: publishing), session, client)
                }
                return
            }
            let flow = try session.flow(named: input.flow, orCommand: true)
            let request = try BatchRequest(flow, BatchChoices(input, publishing, for: flow))
            if publishing.skipSucceeded == nil {
                let source = try await open(request, leavingOut: nil)
                if dryRun {
                    let preview = try await BatchPreview.read(source, request: request, pricing: flow.pricing)
                    return try preview.show(on: session.console, json: json.isOn)
                }
                return try await session.withClient { client in
                    let creation = BatchCreation(client: client, session: session)
                    try await conclude(creation.run(request, source: source), session, client)
                }
            }
            try await session.withClient { client in try await createRest(request, session, client) }
        }

        private func open(_ request: BatchRequest, leavingOut excluded: RecordIDSet?) async throws -> RecordSource {
            let source: RecordSource
            do {
                source = try await RecordSource.open(request.source, leavingOut: excluded)
            } catch let error as SourceError where error.code != .nothingLeft {
                throw Diagnosis(of: error, reading: request.source)
            }
            if request.isStrict { try await StrictCheck().run(source) }
            return source
        }

        /// Creates a batch of the records that have not succeeded in an earlier one; does nothing if there are none.
        private func createRest(_ request: BatchRequest, _ session: Session, _ client: SheafClient) async throws {
            let earlier = try await client.succeededRecords(of: publishing.skipSucceeded ?? "")
            do {
                let source = try await open(request, leavingOut: earlier.ids)
                let creation = BatchCreation(client: client, session: session)
                try await conclude(creation.run(request, source: source, skip: earlier.skip), session, client)
            } catch let error as SourceError {
                guard error.code == .nothingLeft else { throw error }
                session.console.say(
                    "nothing to create: every record of the input succeeded in batch \(earlier.skip.batch)"
                )
                if json.isOn { try session.console.print(CreatedBatch.none(of: request.flow).text) }
            }
        }

        private func conclude(_ done: BatchCreation.Report, _ session: Session, _ client: SheafClient) async throws {
            let id = done.batch.id.text
            if !json.isOn { try session.console.print(id) }
            if wait {
                let follower = BatchFollower(client: client, console: session.console)
                let extend: (BatchSummary) -> JSONValue = { done.batch.json(with: $0.json, skipped: done.skipped) }
                try await follower.conclude(id, timeout: timeout?.duration, json: json.isOn ? extend : nil)
            } else if json.isOn {
                try session.console.print(done.batch.json(with: [:], skipped: done.skipped).text)
            }
        }
    }
}
