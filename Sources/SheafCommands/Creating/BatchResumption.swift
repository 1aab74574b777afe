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
        guard let known = record.batchInput, let configuration = known.source, let before = known.fingerprint else {
            throw Diagnosis(
                .usage,
                "batch '\(record.id)' does not say where its records came from, so they can not be read again here",
                advice: "a program that created it can go on with SheafClient.resume; 'sheaf cancel' ends the batch"
            )
        }
        let check = ResumptionCheck(record: record, known: known, source: configuration)
        let wanted = try check.configuration(input: input, publishing: publishing)
        let earlier = try await succeeded(known.skip)
        let source = try await open(wanted, leavingOut: earlier?.ids, known)
        try check.compare(source.fingerprint, with: before)
        if known.isStrict { try await StrictCheck(limit: 20).run(source) }
        return try await publish(record, source, isStream: before.size == nil, publishing, earlier?.skip)
    }

    /// The records left out then, and no others: those that have succeeded since are in the batch already.
    private func succeeded(_ skip: BatchInput.Skip?) async throws -> SucceededRecords? {
        guard let skip else { return nil }
        return try await client.succeededRecords(of: skip.batch.text, upTo: skip.endOffset)
    }

    private func open(
        _ configuration: SourceConfiguration,
        leavingOut excluded: RecordIDSet?,
        _ known: BatchInput
    ) async throws -> RecordSource {
        do {
            return try await RecordSource.open(configuration, leavingOut: excluded)
        } catch let error as SourceError {
            var diagnosis = Diagnosis(of: error)
            diagnosis.advice =
                "the batch was created on \(known.host) in \(configuration.workingDirectory ?? "/"); "
                + "its input must be there as it was"
            throw diagnosis
        }
    }

    private func publish(
        _ record: BatchRecord,
        _ source: RecordSource,
        isStream: Bool,
        _ publishing: PublishingOptions,
        _ skip: BatchInput.Skip?
    ) async throws -> BatchCreation.Report {
        let flow = session.settings.flows[record.flow]
        let timeout =
            publishing.publishTimeout?.duration ?? flow?.batch.publishTimeout ?? BatchRequest.defaultPublishTimeout
        let creation = BatchCreation(client: client, console: session.console)
        let created = try await creation.telling(total: nil, readsStream: source.readsStandardInput) { events in
            try await client.resume(
                record.id,
                publishTimeout: timeout,
                comparing: isStream,
                events: events
            ) { position in source.chunks(from: position) }
        }
        session.console.say(
            "resumed batch \(created.id) of \(created.flow) behind \(Wording.count(created.resumedAt ?? 0, "task")): "
                + "\(Wording.count(created.total, "task")) in all"
        )
        return BatchCreation.Report(batch: created, skipped: skip == nil ? nil : await source.skipped)
    }
}
