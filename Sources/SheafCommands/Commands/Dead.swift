import ArgumentParser

extension SheafCommand {
    /// Sees to messages that were given up.
    struct Dead: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "See to messages that were given up: tasks nobody could read, or that took their workers down.",
            discussion: """
                A message that no worker could read, for example because it is for a flow that none of them knows, is \
                kept here; when that is mended, 'requeue' puts it back to its queue. A task that took its workers down \
                again and again is kept here too, and counts as failed: 'sheaf retry' runs it again.

                Examples:
                  sheaf dead list
                  sheaf dead show 17
                  sheaf dead requeue --all
                  sheaf dead purge
                """,
            subcommands: [List.self, Show.self, Requeue.self, Purge.self],
            defaultSubcommand: List.self
        )
    }
}
