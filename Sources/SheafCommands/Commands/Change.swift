import ArgumentParser
import Sheaf
import SheafCore

extension SheafCommand {
    /// Changes a batch that is there.
    struct Change: SessionCommand {
        static let configuration = CommandConfiguration(
            commandName: "set",
            abstract: "Change how many tasks of a batch may run at once.",
            discussion: """
                It holds over all workers, at once and for those that start later; tasks that run go on. \
                concurrency=none lifts the limit. The same value again mends a change that was interrupted.

                Examples:
                  sheaf set last concurrency=20
                  sheaf set last concurrency=none
                """
        )

        @Argument(help: "The batch's id, or 'last' for the newest one.")
        var batch: String

        @Argument(
            help: ArgumentHelp("What to change: concurrency=N, or concurrency=none.", valueName: "key=value"),
            transform: { try BatchSetting($0) }
        )
        var settings: [BatchSetting]

        @OptionGroup var json: JSONOption
        @OptionGroup var common: CommonOptions

        @concurrent
        func run(in session: Session) async throws {
            let summary = try await session.withClient { client in
                var summary: BatchSummary?
                for case .concurrency(let limit) in settings {
                    summary = try await client.setConcurrency(limit, of: batch)
                }
                return summary
            }
            guard let summary else { return }
            let limit =
                summary.record.concurrency.map { "at most \(Wording.count($0, "task"))" } ?? "any number of tasks"
            session.console.say("batch \(summary.record.id) now runs \(limit) at once")
            if json.isOn {
                let concurrency: JSONValue = summary.record.concurrency.map { .integer($0) } ?? .null
                try session.console.print(summary.json.adding(["concurrency": concurrency]).text)
            }
        }
    }

    /// Something that can be changed about a batch, as given on the command line.
    enum BatchSetting: Sendable, Equatable {
        /// The most tasks at once, or nil for no limit.
        case concurrency(Int?)

        private static let keys = "concurrency=N or concurrency=none"

        /// Reads `key=value`.
        init(_ text: String) throws {
            let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, parts[0] == "concurrency" else {
                throw ValidationError("'\(text)' can not be set; known: \(Self.keys).")
            }
            if parts[1] == "none" {
                self = .concurrency(nil)
            } else {
                guard let limit = Int(parts[1]), (1...1_000_000).contains(limit) else {
                    throw ValidationError("concurrency must be a whole number from 1 to 1000000, or none.")
                }
                self = .concurrency(limit)
            }
        }
    }
}
