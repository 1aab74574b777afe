import Sheaf
import SheafCore
import SheafSources

/// Publishes a batch and tells of it.
struct BatchCreation: Sendable {
    let client: SheafClient
    let console: Console

    /// Publishes; returns when every task is confirmed.
    func run(_ request: BatchRequest, source: RecordSource) async throws -> CreatedBatch {
        let id = Latest<Name>()
        let display = ProgressDisplay(console: console)
        let total = source.count.map { $0 * request.variants.variants.count }
        do {
            defer { display.end() }
            let created = try await client.create(
                request.plan,
                from: source.chunks(),
                onCreated: { id.note($0) },
                onConfirmed: { display.show(ProgressSample(title: "publishing", done: $0, total: total)) }
            )
            tell(of: created)
            return created
        } catch {
            if let id = id.value {
                console.complain(
                    "sheaf: batch \(id) was not published in full; 'sheaf cancel \(id)' drops what was"
                )
            }
            throw error
        }
    }

    private func tell(of created: CreatedBatch) {
        console.say("created batch \(created.id) of \(created.flow): \(Wording.count(created.total, "task"))")
        if created.invalid > 0 {
            console.say(
                "\(Wording.count(created.invalid, "task")) of it failed already, because the record could not be read; "
                    + "'sheaf results \(created.id) --status failed' tells where"
            )
        }
        console.say("run its tasks with 'sheaf run --until-empty', follow it with 'sheaf watch \(created.id)'")
    }
}
