import OrderedCollections
import Sheaf
import SheafCore
import SheafSettings
import SheafSources

/// Publishes the rest of a batch whose creation was interrupted, as the journal says that it was to be.
struct BatchResumption: Sendable {
    let session: Session
    let client: SheafClient
    let reference: String

    /// Publishes; returns when every task is confirmed.
    func run(input: InputOptions, publishing: PublishingOptions) async throws -> BatchCreation.Report {
        let record = try await client.recordToResume(reference)
        if let total = record.sealedTotal {
            session.console.say(
                "batch \(record.id) was published in full (\(Wording.count(total, "task"))); there is nothing to resume"
            )
            return BatchCreation.Report(batch: CreatedBatch(id: record.id, flow: record.flow, total: total))
        }
        let recorded = try RecordedInput(of: record, client: client, command: "sheaf create --resume \(record.id)")
        let source = try await recorded.open(input, publishing)
        if recorded.known.isStrict { try await StrictCheck(limit: 20).run(source) }
        return try await publish(record, source, recorded, publishing)
    }

    private func publish(
        _ record: BatchInfo,
        _ source: RecordSource,
        _ recorded: RecordedInput,
        _ publishing: PublishingOptions
    ) async throws -> BatchCreation.Report {
        let flow = session.settings.flows[record.flow]
        let timeout =
            publishing.publishTimeout?.duration ?? flow?.batch.publishTimeout ?? BatchRequest.defaultPublishTimeout
        let creation = BatchCreation(client: client, console: session.console)
        let created = try await creation.telling(total: nil, readsStream: source.readsStandardInput) { events in
            try await client.resume(
                record.id,
                publishTimeout: timeout,
                comparing: recorded.isStream,
                events: events
            ) { position in source.chunks(from: position) }
        }
        session.console.say(
            "resumed batch \(created.id) of \(created.flow) behind \(Wording.count(created.resumedAt ?? 0, "task")): "
                + "\(Wording.count(created.total, "task")) in all"
        )
        return BatchCreation.Report(batch: created, skipped: recorded.known.skip == nil ? nil : await source.skipped)
    }
}
