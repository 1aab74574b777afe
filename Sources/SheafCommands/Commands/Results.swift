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

        @Option(help: "The format of the rows; default: by the ending of the file, else jsonl.")
        var format: ResultFormat?

        @Flag(name: .customLong("json"), help: "Print one JSON array; the same as --format json.")
        var json = false

        @OptionGroup var common: CommonOptions

        func validate() throws {
            if json, let format, format != .json {
                throw ValidationError("--json and --format \(format) cannot be combined")
            }
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
                        "batch \(summary.info.id) has not ended: \(Wording.counts(summary.counts)); "
                            + "these are the results so far"
                    )
                }
            }
        }
    }
}

/// Writes the rows of a batch's results to standard output or a file.
struct ResultExport: Sendable {
    private static let chunkSize = 64 << 10

    private let writer: ResultWriter
    private let status: Set<Outcome.Status>

    /// Creates an export; rows of any status are written if none is given.
    init(writer: ResultWriter, status: [Outcome.Status]) {
        self.writer = writer
        self.status = Set(status)
    }

    /// Writes all rows and returns their number; a file appears under its name only once all rows are written.
    func write(_ results: BatchResults, to path: String?) async throws -> Int {
        guard let path else {
            let output = DescriptorWriter(descriptor: STDOUT_FILENO, name: "standard output")
            // A terminal would obey control characters; files and programs get the exact bytes.
            if isatty(STDOUT_FILENO) == 1 { return try await write(results, to: SafeSink(sink: output)) }
            return try await write(results, to: output)
        }
        let file = try SideFile(path: path)
        let rows = try await write(results, to: file)
        try file.finish()
        return rows
    }

    private func write(_ results: BatchResults, to sink: some ByteSink) async throws -> Int {
        var writer = writer
        var buffer = writer.head
        for try await outcomes in results {
            for outcome in outcomes where status.isEmpty || status.contains(outcome.status) {
                writer.write(outcome, to: &buffer)
            }
            if buffer.count >= Self.chunkSize {
                try sink.write(buffer)
                buffer.removeAll(keepingCapacity: true)
            }
        }
        try sink.write(buffer + writer.tail)
        return writer.rows
    }
}
