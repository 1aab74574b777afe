import Sheaf
import SheafCore
import SheafSources

/// Publishes a batch and tells of it.
struct BatchCreation: Sendable {
    let client: SheafClient
    let console: Console

    /// What was done.
    struct Report: Sendable {
        /// The batch.
        let batch: CreatedBatch
        /// How many records were left out because they had succeeded before; nil where nobody asked for that.
        var skipped: Int?
    }

    /// Publishes; returns when every task is confirmed.
    func run(_ request: BatchRequest, source: RecordSource, skip: BatchInput.Skip? = nil) async throws -> Report {
        let total = source.count.map { $0 * request.variants.variants.count }
        let created = try await telling(total: total, readsStream: source.readsStandardInput) { events in
            try await client.create(
                request.plan(source.fingerprint, skip: skip),
                from: source.chunks(),
                events: events
            )
        }
        let skipped = skip == nil ? nil : await source.skipped
        tell(of: created, skipped: skipped, of: skip)
        return Report(batch: created, skipped: skipped)
    }

    /// Runs what publishes and shows how far it is; says how to go on where it fails.
    func telling(
        total: Int?,
        readsStream: Bool,
        _ publish: (CreationEvents) async throws -> CreatedBatch
    ) async throws -> CreatedBatch {
        let id = Latest<Name>()
        let display = ProgressDisplay(console: console)
        let events = CreationEvents(
            onCreated: { id.note($0) },
            onConfirmed: { display.show(ProgressSample(title: "publishing", done: $0, total: total)) },
            onStall: { tell(of: $0) }
        )
        do {
            defer { display.end() }
            return try await publish(events)
        } catch {
            if let id = id.value, let advice = Self.advice(id, after: error, readsStream: readsStream) {
                console.complain("sheaf: batch \(id) was not published in full; \(advice)")
            }
            throw error
        }
    }

    /// What can be done about a batch that was not published in full; nil where that is over.
    private static func advice(_ id: Name, after error: any Error, readsStream: Bool) -> String? {
        if let error = error as? SheafError {
            if error.code == .cancelled { return nil }
            if error.code == .alreadyExists { return "'sheaf status \(id)' tells how far it is" }
        }
        let resume = "'sheaf create --resume \(id)\(readsStream ? " -" : "")'"
        let how =
            readsStream
            ? "\(resume), fed with the same records again, publishes the rest" : "\(resume) publishes the rest"
        return "\(how), 'sheaf cancel \(id)' drops what was"
    }

    private func tell(of stall: PublishingStall?) {
        guard let stall else { return console.complain("sheaf: the broker takes messages again; going on") }
        console.complain("sheaf: \(stall.reason); waiting up to \(Wording.duration(stall.patience))")
    }

    private func tell(of created: CreatedBatch, skipped: Int?, of skip: BatchInput.Skip?) {
        console.say("created batch \(created.id) of \(created.flow): \(Wording.count(created.total, "task"))")
        if let skipped, let skip {
            console.say("left out \(Wording.count(skipped, "record")) that succeeded in batch \(skip.batch)")
        }
        if created.invalid > 0 {
            console.say(
                "\(Wording.count(created.invalid, "task")) of it failed already, because the record could not be read; "
                    + "'sheaf results \(created.id) --status failed' tells where"
            )
        }
        console.say("run its tasks with 'sheaf run --until-empty', follow it with 'sheaf watch \(created.id)'")
    }
}
