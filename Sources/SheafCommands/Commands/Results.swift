import ArgumentParser
import Glibc
import Sheaf
import SheafCore
import SheafFormats

extension SheafCommand {
    /// Prints the results of a batch.
    struct Results: SessionCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print the results of a batch: one row for each task that has ended.",
            usage: "sheaf results [<options>] <batch>",
            discussion: """
                A row has batch_id, index, record_id, status, output, error {type, message}, attempts, started_at, \
                finished_at and worker; in CSV the error has the columns error_type and error_message.

                Examples:
                  sheaf results last --ordered
                  sheaf results last --status failed
                  sheaf results last -o results.csv
                  sheaf results last --merge -o merged.csv
                """
        )

        @Argument(help: "The batch's id, or 'last' for the newest one.")
        var batch: String

        @Option(
            name: .shortAndLong,
            help: ArgumentHelp(
                "Write to this file; an existing file is replaced once all rows are written; default: standard output.",
                valueName: "file"
            ),
            completion: .file()
        )
        var output: String?

        @Option(help: "Only tasks with this status; may be repeated; default: any.")
        var status: [Outcome.Status] = []

        @Flag(help: "Sort by index instead of the order in which tasks ended.")
        var ordered = false

        @Flag(
            help: """
                Read the input again and print the fields of each record, then _status, _output and _error, in the order \
                of the input.
                """
        )
        var merge = false

        @Option(help: "The format of the rows; default: by the ending of the file, else jsonl.")
        var format: ResultFormat?

        @Flag(name: .customLong("json"), help: "Print one JSON array; the same as --format json.")
        var json = false

        @OptionGroup var common: CommonOptions

        func validate() throws {
            if json, let format, format != .json {
                throw ValidationError("--json and --format \(format) cannot be combined")
            }
            if merge, ordered { throw ValidationError("--merge and --ordered cannot be combined") }
        }

        @concurrent
        func run(in session: Session) async throws {
            let format = json ? .json : format ?? output.flatMap { ResultFormat(ending: $0) } ?? .jsonl
            try await session.withClient { client in
                let (rows, id) = try await rows(of: client, format)
                let count = try await ResultExport.write(rows, to: output)
                if let output { session.console.say("wrote \(Wording.count(count, "row")) to \(output)") }
                let summary = try await client.batch(id.text)
                if !summary.status.isFinal {
                    session.console.say(
                        "batch \(summary.info.id) has not ended: \(Wording.counts(summary.counts)); "
                            + "these are the results so far"
                    )
                }
            }
        }

        private func rows(of client: SheafClient, _ format: ResultFormat) async throws -> (ResultRows, Name) {
            if merge {
                let merged = try await client.mergedResults(of: batch)
                let writer = try await MergedWriter(format: format, for: merged)
                return (ResultRows(merged, writer: writer, statuses: Set(status)), merged.results.batch.id)
            }
            let results = try await client.results(of: batch, ordered: ordered)
            return (ResultRows(results, format: format, statuses: Set(status)), results.batch.id)
        }
    }
}

/// Writes the rows of a batch's results to standard output or a file.
enum ResultExport {
    /// Writes all rows and returns their number; a file appears under its name only once all rows are written.
    static func write(_ rows: ResultRows, to path: String?) async throws -> Int {
        guard let path else {
            let output = DescriptorWriter(descriptor: STDOUT_FILENO, name: "standard output")
            // A terminal would obey control characters; files and programs get the exact bytes.
            if isatty(STDOUT_FILENO) == 1 { return try await write(rows, to: SafeSink(sink: output)) }
            return try await write(rows, to: output)
        }
        let file = try SideFile(path: path)
        let count = try await write(rows, to: file)
        try file.finish()
        return count
    }

    private static func write(_ rows: ResultRows, to sink: some ByteSink) async throws -> Int {
        var rows = rows
        while let piece = try await rows.next() { try sink.write(piece) }
        return rows.line
    }
}
