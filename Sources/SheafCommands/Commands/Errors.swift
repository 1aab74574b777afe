import ArgumentParser
import Sheaf
import SheafBatches
import SheafCore
import SheafFormats

extension SheafCommand {
    /// Groups the failed tasks of a batch by their error.
    struct Errors: SessionCommand {
        static let configuration = CommandConfiguration(
            abstract: "Group the failed tasks of a batch by their error.",
            usage: "sheaf errors [<options>] <batch>",
            discussion: """
                Errors belong to one group if they have the same type, and the same message but for numbers, words \
                with digits in them, and what is in quotes. A batch has at most 200 groups; further errors are the \
                group 'other'.

                Examples:
                  sheaf errors last
                  sheaf retry last --index $(sheaf errors last --group 1f0c59a7be20d614)
                """
        )

        @Argument(help: "The batch's id, or 'last' for the newest one.")
        var batch: String

        @Option(help: ArgumentHelp("Print only the numbers of the tasks of this group.", valueName: "id"))
        var group: String?

        @OptionGroup var json: JSONOption
        @OptionGroup var common: CommonOptions

        @concurrent
        func run(in session: Session) async throws {
            let console = session.console
            try await session.withClient { client in
                let tasks = TaskDirectory(client: client)
                let groups = try await tasks.errorGroups(of: batch)
                if let group {
                    guard groups.contains(where: { $0.id == group }) else {
                        throw Diagnosis(.notFound, "batch '\(batch)' has no failed task in a group '\(group)'")
                    }
                    var query = TaskQuery()
                    query.group = group
                    return try await console.print(tasks.indexes(of: batch, matching: query).description)
                }
                if json.isOn { return try console.print(JSONValue.array(groups.map(\.json)).text) }
                if groups.isEmpty { return console.say("no task of the batch has failed") }
                for line in ErrorTable.lines(groups) { try console.print(line) }
            }
        }
    }
}
