import ArgumentParser
import OrderedCollections
import Sheaf
import SheafCore
import SheafFormats
import SheafSettings

extension SheafCommand {
    /// Shows the state of a batch.
    struct Status: SessionCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show the state of a batch.",
            usage: "sheaf status [<options>] <batch>",
            discussion: """
                Examples:
                  sheaf status last
                  sheaf status last --json
                """
        )

        @Argument(help: "The batch's id, or 'last' for the newest one.")
        var batch: String

        @OptionGroup var json: JSONOption
        @OptionGroup var common: CommonOptions

        @concurrent
        func run(in session: Session) async throws {
            let (summary, submissions) = try await session.withClient { client in
                let summary = try await client.batch(batch)
                return (summary, json.isOn ? [] : try await client.submissions(of: summary.info.id.text))
            }
            let pricing = session.settings.flows[summary.info.flow]?.pricing
            let cost = pricing?.cost(of: summary.usage)
            let pilotCosts = PilotCosts(of: summary, pricing)
            if json.isOn {
                let json = summary.json.adding(["cost": cost?.json ?? .null])
                return try session.console.print((pilotCosts?.added(to: json) ?? json).text)
            }
            let lines = BatchDetails.lines(
                summary,
                submissions: submissions,
                cost: summary.usage.isEmpty ? nil : cost?.description,
                pilotCosts: pilotCosts,
                style: Style(isOn: session.console.output.hasColour),
                now: .now
            )
            for line in lines {
                try session.console.print(styled: line)
            }
        }
    }

    /// Lists batches.
    struct List: SessionCommand {
        static let configuration = CommandConfiguration(
            abstract: "List batches, the newest last.",
            usage: "sheaf list [<options>]",
            discussion: """
                Examples:
                  sheaf list
                  sheaf list --status processing --flow wordcount
                  sheaf list --tag customer=acme
                  sheaf list --limit 10 --json
                """
        )

        @Option(help: "Only batches with this status; may be repeated; default: any.")
        var status: [BatchStatus] = []

        @Option(help: ArgumentHelp("Only batches of this flow; may be repeated; default: any.", valueName: "name"))
        var flow: [String] = []

        @Option(
            help: ArgumentHelp(
                "Only batches with this tag, or with any value of this key. May be repeated; a batch must match all.",
                valueName: "key[=value]"
            ),
            transform: { text in
                guard let filter = TagFilter(text) else { throw ValidationError("it must be a key, or \(Tags.rule)") }
                return filter
            }
        )
        var tag: [TagFilter] = []

        @Option(help: ArgumentHelp("Only the newest N; default: all.", valueName: "n"))
        var limit: Int?

        @OptionGroup var json: JSONOption
        @OptionGroup var common: CommonOptions

        func validate() throws {
            if let limit, limit < 1 { throw ValidationError("--limit must be 1 or more") }
        }

        @concurrent
        func run(in session: Session) async throws {
            let all = try await session.withClient { client in try await client.batches() }
            let chosen = all.filter { batch in
                (status.isEmpty || status.contains(batch.status))
                    && (flow.isEmpty || flow.contains(batch.info.flow.text))
                    && tag.allSatisfy { $0.matches(batch.info.options) }
            }.suffix(limit ?? .max)
            if json.isOn {
                try session.console.print(JSONValue.array(chosen.map(\.json)).text)
            } else if chosen.isEmpty {
                session.console.say(all.isEmpty ? "there are no batches yet" : "no batch matches")
            } else {
                let style = Style(isOn: session.console.output.hasColour)
                for line in BatchTable.lines(Array(chosen), style: style, now: .now) { try session.console.print(line) }
            }
        }
    }
}
