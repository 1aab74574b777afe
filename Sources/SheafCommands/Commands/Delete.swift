import ArgumentParser
import Sheaf
import SheafCore

extension SheafCommand {
    /// Removes batches.
    struct Delete: SessionCommand {
        static let configuration = CommandConfiguration(
            abstract: "Remove batches with their results.",
            discussion: """
                Queues, results and all that was known of a batch are gone for good, and its id is not used again. A \
                batch that has not ended is refused (exit code 4) unless --force cancels it first. Deleting one again \
                removes what an interrupted deletion left.

                Examples:
                  sheaf delete 1m7yqx4rf9z93
                  sheaf delete last --force
                """
        )

        @Argument(help: "The ids of the batches; 'last' is the newest one.")
        var batches: [String]

        @Flag(help: "Cancel a batch that has not ended, running tasks included, wait for its end, and remove it.")
        var force = false

        @OptionGroup var json: JSONOption
        @OptionGroup var common: CommonOptions

        @concurrent
        func run(in session: Session) async throws {
            var deleted: [JSONValue] = []
            func tell() throws {
                if json.isOn { try session.console.print(JSONValue.array(deleted).text) }
            }
            do {
                try await session.withClient { client in
                    for batch in batches {
                        let gone = try await client.delete(batch, force: force)
                        session.console.say(
                            gone.wasDeleted
                                ? "batch \(gone.id) was deleted already; what was left of it is removed"
                                : "deleted batch \(gone.id)"
                        )
                        deleted.append(gone.json)
                    }
                }
            } catch {
                // Those before are gone all the same.
                try tell()
                throw error
            }
            try tell()
        }
    }
}
