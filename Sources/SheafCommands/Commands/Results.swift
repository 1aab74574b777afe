import ArgumentParser
import Sheaf
import SheafCore

extension SheafCommand {
    /// Prints the results of a batch.
    struct Results: SessionCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print the results of a batch: one row for each task that has ended.",
            discussion: """
                A row has batch_id, index, record_id, status, output, error {type, message}, attempts, started_at, \
                finished_at and worker; in CSV the error has the columns error_type and error_message.

                Examples:
                  sheaf results last --ordered
                  sheaf results last --status failed
                  sheaf results last -o results.csv
                """
        )

        @Argument(help: "The batch's id, or 'last' for the newest one.")
        var batch: String

        @Option(
            name: .shortAndLong,
            help: ArgumentHelp(
                "Write to this file instead; it is replaced only when all is written.",
                valueName: "file"
            ),
            completion: .file()
        )
        var output: String?

        @Option(help: "Only tasks that ended so; may be repeated.")
        var status: [Outcome.Status] = []

        @Flag(help: "Sort by index instead of the order in which tasks ended.")
        var ordered = false

        @Option(help: "The format of the rows; left out: by the ending of the file, else jsonl.")
        var format: ResultFormat?

        @Flag(name: .customLong("json"), help: "Print one JSON array; the same as --format json.")
        var json = false

        @OptionGroup var common: CommonOptions

        func validate() throws {
            if json, let format, format != .json { throw ValidationError("--json and --format \(format) contradict.") }
        }

        @concurrent
        func run(in session: Session) async throws {
            let format = json ? .json : format ?? output.flatMap { ResultFormat(ending: $0) } ?? .jsonl
            try await session.withClient { client in
                let results = try await client.results(of: batch, ordered: ordered)
                let export = ResultExport(writer: ResultWriter(format: format, batch: results.batch.id), status: status)
                let rows = try await export.write(results, to: output)
                if let output { session.console.say("wrote \(Wording.count(rows, "row")) to \(output)") }
                let summary = try await client.batch(results.batch.id.text)
                if !summary.status.isFinal {
                    session.console.say(
                        "batch \(summary.record.id) has not ended: \(Wording.counts(summary.counts)); "
                            + "these are the results so far"
                    )
                }
            }
        }
    }
}
