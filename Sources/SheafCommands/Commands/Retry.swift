import ArgumentParser
import OrderedCollections
import Sheaf
import SheafCore
import SheafFormats
import SheafSources
import SheafTelemetry

extension SheafCommand {
    /// Runs tasks of a batch again.
    struct Retry: SessionCommand {
        static let configuration = CommandConfiguration(
            abstract: "Run failed tasks again; the batch returns to processing.",
            discussion: """
                The tasks keep their ids, and their new outcomes replace the old ones. A batch that its error policy \
                has stopped continues. An interrupted retry has changed nothing: repeat it.

                --missing repairs a loss in the broker, such as a deleted queue: it publishes tasks again that have no \
                outcome, are in no queue and run on no worker. Their records come from the batch's input, which must \
                not have changed. Name the input again only if it was standard input or a very long list of files.

                Examples:
                  sheaf retry last
                  sheaf retry last --index 3,7-9
                  sheaf retry last --missing
                """
        )

        @Argument(help: "The batch's id, or 'last' for the newest one.")
        var batch: String

        @Argument(
            help: ArgumentHelp("With --missing: the input that the batch was created from.", valueName: "input"),
            completion: .file()
        )
        var inputs: [String] = []

        @Flag(help: "Run all failed tasks again (default).")
        var failed = false

        @Option(
            help: ArgumentHelp("Run only these failed tasks again, such as 3,7-9.", valueName: "numbers"),
            transform: { text in
                guard let ranges = IndexRanges(text) else {
                    throw ValidationError("it must be numbers and ranges separated by commas, such as 3,7-9")
                }
                return ranges
            }
        )
        var index: IndexRanges?

        @Flag(help: "Publish tasks again that the broker lost.")
        var missing = false

        @Flag(help: "With --missing: publish them even if they may not be lost; some may then run twice.")
        var force = false

        @OptionGroup var json: JSONOption
        @OptionGroup var common: CommonOptions

        func validate() throws {
            if missing, failed || index != nil {
                throw ValidationError("--missing cannot be combined with --failed or --index")
            }
            if !missing, force || !inputs.isEmpty {
                throw ValidationError("An input and --force need --missing")
            }
        }

        @concurrent
        func run(in session: Session) async throws {
            let report = try await session.withClient { client in
                let info = try await client.batch(batch).info
                return try await session.tracingBatches { traces in
                    try await traces.recordingRetry(of: info, after: session.traceParent) { trace in
                        try await retry(info.id.text, client, trace)
                    }
                }
            }
            let target: Wording.RetryTarget = missing ? .missing : index == nil ? .failed : .named
            let isExternal = session.isExternal(report.batch.info.flow)
            for line in Wording.retry(report, of: target, isExternal: isExternal) { session.console.say(line) }
            if json.isOn { try session.console.print(report.json.text) }
        }

        private func retry(_ batch: String, _ client: SheafClient, _ trace: TraceContext?) async throws -> RetryReport {
            if !missing { return try await client.retry(batch, only: index, trace: trace) }
            return try await client.retryMissing(batch, isForced: force, trace: trace) { info in
                let command = "sheaf retry \(info.id) --missing"
                let input = try InputOptions.parse(["--flow=\(info.flow)"] + inputs.map { "--input=\($0)" })
                return try await RecordedInput(of: info, client: client, command: command).open(input).chunks()
            }
        }
    }
}
