import ArgumentParser
import Glibc
import Sheaf
import SheafCore

extension SheafCommand {
    /// Prints outcomes as they come.
    struct Tap: SessionCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print outcomes and the ends of batches as they come, until interrupted.",
            usage: "sheaf tap [<options>] [<flow>] [<batch>]",
            discussion: """
                Prints one JSON object per line: a row as 'sheaf results' prints it, or a batch as 'sheaf status \
                --json' prints it, with the members event (outcome, finished or stopped) and flow. The outcomes of \
                all flows and batches are printed if none is named.

                On RabbitMQ the lines are copies from the exchange sheaf.results, and an outcome may be printed \
                twice. If the output is read too slowly, the oldest lines are left out.

                Examples:
                  sheaf tap
                  sheaf tap wordcount --status failed
                  sheaf tap '*' last --from-start
                """
        )

        @Argument(help: "Only this flow; default: any, as with '*'.")
        var flow: String?

        @Argument(help: "Only this batch, by its id, or 'last' for the newest one; default: any.")
        var batch: String?

        @Option(help: "Only outcomes with this status; may be repeated; default: all, and the ends of batches.")
        var status: [Outcome.Status] = []

        @Flag(
            help: """
                Print first what the logs of batches that have not ended contain; with a batch, also if it has ended. \
                The logs are read instead of the exchange.
                """
        )
        var fromStart = false

        @OptionGroup var common: CommonOptions

        @concurrent
        func run(in session: Session) async throws {
            let console = session.console
            try await session.withClient { client in
                let filter = try await filter(client)
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask {
                        let note: @Sendable (TapNote) -> Void = { console.say(Self.text(of: $0)) }
                        try await client.tap(filter, fromStart: fromStart, note: note) { line in
                            try console.print(String(decoding: line, as: UTF8.self))
                        }
                    }
                    group.addTask { try await Self.waitUntilUnread() }
                    try await group.next()
                    group.cancelAll()
                }
            }
        }

        private static func text(of note: TapNote) -> String {
            switch note {
            case .ready: "waiting for outcomes; end with Ctrl-C"
            case .reconnected: "the connection to the broker was lost: outcomes in the meantime may be missing"
            }
        }

        private func filter(_ client: SheafClient) async throws -> TapFilter {
            var filter = TapFilter(statuses: Set(status))
            if let flow, flow != "*" {
                guard let name = Name(flow) else { throw Diagnosis(.usage, "'\(flow)' is not the name of a flow") }
                filter.flow = name
            }
            if let batch {
                let info = try await client.batch(batch).info
                if let flow = filter.flow, flow != info.flow {
                    throw Diagnosis(.usage, "batch '\(info.id)' is of flow '\(info.flow)', not '\(flow)'")
                }
                filter.batch = info.id
            }
            return filter
        }

        /// Returns once standard output is a pipe that no process reads.
        private static func waitUntilUnread() async throws {
            while true {
                var output = pollfd(fd: STDOUT_FILENO, events: 0, revents: 0)
                if poll(&output, 1, 0) > 0, output.revents & Int16(POLLERR) != 0 { return }
                try await Task.sleep(for: .milliseconds(500))
            }
        }
    }
}
