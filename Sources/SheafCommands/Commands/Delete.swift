import ArgumentParser
import Sheaf
import SheafCore
import SheafFormats

extension SheafCommand {
    /// Deletes batches.
    struct Delete: SessionCommand {
        static let configuration = CommandConfiguration(
            abstract: "Delete batches with their results.",
            usage: "sheaf delete [<options>] <batch> ...",
            discussion: """
                Deletes the queues, the results and all other data of a batch. Its id cannot be used again. A batch \
                that has not ended is refused (exit code 4), unless --force cancels it first. To complete an \
                interrupted deletion, delete the batch again.

                Examples:
                  sheaf delete 1m7yqx4rf9z93
                  sheaf delete last --force
                """
        )

        @Argument(help: ArgumentHelp("The ids of the batches; 'last' is the newest one.", valueName: "batch"))
        var batches: [String]

        @Flag(help: "Cancel a batch that has not ended, with its running tasks, wait for its end, and delete it.")
        var force = false

        @OptionGroup var json: JSONOption
        @OptionGroup var common: CommonOptions

        @concurrent
        func run(in session: Session) async throws {
            var deleted: [JSONValue] = []
            func printDeleted() throws {
                if json.isOn { try session.console.print(JSONValue.array(deleted).text) }
            }
            do {
                try await session.withClient { client in
                    for batch in batches {
                        let gone = try await client.delete(batch, force: force)
                        session.console.say(
                            gone.wasDeleted
                                ? "batch \(gone.id) was already deleted; removed what was left of it"
                                : "deleted batch \(gone.id)"
                        )
                        deleted.append(gone.json)
                    }
                }
            } catch {
                // The batches before this one are deleted anyway.
                try printDeleted()
                throw error
            }
            try printDeleted()
        }
    }

    /// Deletes batches that ended long ago.
    struct Prune: SessionCommand {
        static let configuration = CommandConfiguration(
            abstract: "Delete batches that ended long ago, with their results.",
            usage: "sheaf prune [<options>] --older-than <time>",
            discussion: """
                Only batches that have ended are deleted. A batch that is stopped while tasks are left has not ended, \
                because it can continue: cancel or delete it.

                Examples:
                  sheaf prune --older-than 30d --dry-run
                  sheaf prune --older-than 30d
                  sheaf prune --older-than 7d --status cancelled
                """
        )

        @Option(help: ArgumentHelp("Delete batches that ended longer ago than this, such as 30d.", valueName: "time"))
        var olderThan: TimeSpan

        @Flag(help: "Delete nothing; print what would be deleted.")
        var dryRun = false

        @Option(help: "Only batches with this status; may be repeated; default: any.")
        var status: [BatchStatus] = []

        @OptionGroup var json: JSONOption
        @OptionGroup var common: CommonOptions

        func validate() throws {
            if let odd = status.first(where: { !$0.isFinal }) {
                throw ValidationError(
                    "a batch that is \(odd.rawValue) has not ended, so it is never pruned; use 'sheaf delete'"
                )
            }
        }

        @concurrent
        func run(in session: Session) async throws {
            let now = Timestamp.now
            let limit = Timestamp(milliseconds: now.milliseconds - Int64(olderThan.duration / .milliseconds(1)))
            let gone = try await session.withClient { client in
                let old = try await client.batches(endedBefore: limit).filter {
                    status.isEmpty || status.contains($0.status)
                }
                for batch in old {
                    if !dryRun { try await client.delete(batch.info.id.text) }
                    let ended = batch.finishedAt.map { ", ended \(Wording.ago($0, now: now))" } ?? ""
                    session.console.say(
                        "\(dryRun ? "would delete" : "deleted") batch \(batch.info.id) of \(batch.info.flow): "
                            + "\(batch.status.rawValue)\(ended)"
                    )
                }
                return old
            }
            if gone.isEmpty { session.console.say("no batch is old enough to be deleted") }
            if json.isOn {
                let rows = gone.map { $0.json.adding(["deleted": .bool(!dryRun)]) }
                try session.console.print(JSONValue.array(rows).text)
            }
        }
    }
}
