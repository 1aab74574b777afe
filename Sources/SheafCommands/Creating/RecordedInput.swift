import Sheaf
import SheafCore
import SheafSources

/// The input of a batch, read again as its creator said in the journal.
struct RecordedInput: Sendable {
    let record: BatchInfo
    let client: SheafClient
    /// The command that needs it, as people would type it.
    let command: String
    let known: BatchInput
    let source: SourceConfiguration
    let fingerprint: InputFingerprint

    /// Throws where the journal does not say what the input was.
    init(of record: BatchInfo, client: SheafClient, command: String) throws {
        guard let known = record.batchInput, let source = known.source, let fingerprint = known.fingerprint else {
            throw Diagnosis(
                .usage,
                "batch '\(record.id)' does not say where its records came from, so they can not be read again here",
                advice: """
                    the program that created it can, with SheafClient.resume or SheafClient.retryMissing; \
                    'sheaf cancel' ends the batch
                    """
            )
        }
        (self.record, self.client, self.command) = (record, client, command)
        (self.known, self.source, self.fingerprint) = (known, source, fingerprint)
    }

    /// Whether it can only be read once, from its beginning.
    var isStream: Bool { fingerprint.size == nil }

    /// Opens it, without the records that were left out then; refuses another input or options, and says what differs.
    func open(_ input: InputOptions, _ publishing: PublishingOptions? = nil) async throws -> RecordSource {
        let check = RecordedInputCheck(record: record, known: known, source: source, command: command)
        let wanted = try check.configuration(input: input, publishing: publishing)
        let opened = try await open(wanted, leavingOut: try await leftOut())
        try check.compare(opened.fingerprint, with: fingerprint)
        return opened
    }

    /// The records left out then, and no others: those that have succeeded since are in the batch already.
    private func leftOut() async throws -> RecordIDSet? {
        guard let skip = known.skip else { return nil }
        return try await client.succeededRecords(of: skip.batch.text, upTo: skip.endOffset).ids
    }

    private func open(
        _ configuration: SourceConfiguration,
        leavingOut excluded: RecordIDSet?
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
}
