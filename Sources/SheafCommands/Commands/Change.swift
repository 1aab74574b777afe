import ArgumentParser
import Sheaf
import SheafCore
import SheafFormats

extension SheafCommand {
    /// Changes an existing batch.
    struct Change: SessionCommand {
        static let configuration = CommandConfiguration(
            commandName: "set",
            abstract: "Change how many tasks of a batch may run at once.",
            usage: "sheaf set [<options>] <batch> <key=value> ...",
            discussion: """
                The limit applies to all workers together, including workers that start later. Running tasks \
                continue. max_running=none removes the limit. To complete an interrupted change, set the same value \
                again.

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
                summary.info.maxRunning.map { "at most \(Wording.count($0, "task"))" } ?? "any number of tasks"
            session.console.say("batch \(summary.info.id) now runs \(limit) at once")
            if json.isOn {
                try session.console.print(summary.jsonWithLimit.text)
            }
        }
    }

    /// A setting of a batch that can be changed, as given on the command line.
    enum BatchSetting: Sendable, Equatable {
        /// The largest number of running tasks, or nil for no limit.
        case maxRunning(Int?)

        private static let keys = "max_running=N or max_running=none"

        /// Reads `key=value`.
        init(_ text: String) throws {
            let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, parts[0] == "max_running" else {
                throw ValidationError("'\(text)' cannot be set; known settings: \(Self.keys)")
            }
            if parts[1] == "none" {
                self = .maxRunning(nil)
            } else {
                guard let limit = Int(parts[1]), (1...1_000_000).contains(limit) else {
                    throw ValidationError("max_running must be an integer from 1 to 1000000, or none")
                }
                self = .maxRunning(limit)
            }
        }
    }
}
