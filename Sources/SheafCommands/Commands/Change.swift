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
                max_running=none lifts the limit. The same value again completes a change that was interrupted.

                Examples:
                  sheaf set last max_running=20
                  sheaf set last max_running=none
                """
        )

        @Argument(help: "The batch's id, or 'last' for the newest one.")
        var batch: String

        @Argument(
            help: ArgumentHelp("What to change: max_running=N, or max_running=none.", valueName: "key=value"),
            transform: { try BatchSetting($0) }
        )
        var settings: [BatchSetting]

        @OptionGroup var json: JSONOption
        @OptionGroup var common: CommonOptions

        @concurrent
        func run(in session: Session) async throws {
            let summary = try await session.withClient { client in
                var summary: BatchSummary?
                for case .maxRunning(let limit) in settings {
                    summary = try await client.setMaxRunning(limit, of: batch)
                }
                return summary
            }
            guard let summary else { return }
            let limit =
                summary.record.maxRunning.map { "at most \(Wording.count($0, "task"))" } ?? "any number of tasks"
            session.console.say("batch \(summary.record.id) now runs \(limit) at once")
            if json.isOn {
                let maxRunning: JSONValue = summary.record.maxRunning.map { .integer($0) } ?? .null
                try session.console.print(summary.json.adding(["max_running": maxRunning]).text)
            }
        }
    }

    /// Something that can be changed about a batch, as given on the command line.
    enum BatchSetting: Sendable, Equatable {
        /// The most tasks at once, or nil for no limit.
        case maxRunning(Int?)

        private static let keys = "max_running=N or max_running=none"

        /// Reads `key=value`.
        init(_ text: String) throws {
            let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, parts[0] == "max_running" else {
                throw ValidationError("'\(text)' can not be set; known: \(Self.keys).")
            }
            if parts[1] == "none" {
                self = .maxRunning(nil)
            } else {
                guard let limit = Int(parts[1]), (1...1_000_000).contains(limit) else {
                    throw ValidationError("max_running must be a whole number from 1 to 1000000, or none.")
                }
                self = .maxRunning(limit)
            }
        }
    }
}
