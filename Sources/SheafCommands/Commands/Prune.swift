import ArgumentParser
import Sheaf
import SheafCore

extension SheafCommand {
    /// Removes batches that ended long ago.
    struct Prune: SessionCommand {
        static let configuration = CommandConfiguration(
            abstract: "Remove batches that ended long ago, with their results.",
            discussion: """
                Only batches that have ended are removed; one that its error policy has stopped has not, as it can go \
                on: cancel or delete it.

                Examples:
                  sheaf prune --older-than 30d --dry-run
                  sheaf prune --older-than 30d
                  sheaf prune --older-than 7d --status cancelled
                """
        )

        @Option(help: ArgumentHelp("Remove those that ended longer ago than this, such as 30d.", valueName: "time"))
        var olderThan: TimeSpan

        @Flag(help: "Remove nothing; say what would be.")
        var dryRun = false

        @Option(help: "Only batches of this status; may be repeated.")
        var status: [BatchStatus] = []

        @OptionGroup var json: JSONOption
        @OptionGroup var common: CommonOptions

        func validate() throws {
            if let odd = status.first(where: { !$0.isFinal }) {
                throw ValidationError("A batch that is \(odd.rawValue) has not ended, so it is never removed.")
            }
        }

        @concurrent
        func run(in session: Session) async throws {
            let now = Timestamp.now
            let moment = Timestamp(milliseconds: now.milliseconds - Int64(olderThan.duration / .milliseconds(1)))
            let gone = try await session.withClient { client in
                let old = try await client.batches(endedBefore: moment).filter {
                    status.isEmpty || status.contains($0.status)
                }
                for batch in old {
                    if !dryRun { try await client.delete(batch.record.id.text) }
                    let ended = batch.finishedAt.map { ", ended \(Wording.ago($0, now: now))" } ?? ""
                    session.console.say(
                        "\(dryRun ? "would delete" : "deleted") batch \(batch.record.id) of \(batch.record.flow): "
                            + "\(batch.status.rawValue)\(ended)"
                    )
                }
                return old
            }
            if gone.isEmpty { session.console.say("no batch ended that long ago") }
            if json.isOn {
                let rows = gone.map { $0.json.adding(["deleted": .bool(!dryRun)]) }
                try session.console.print(JSONValue.array(rows).text)
            }
        }
    }
}
