import SheafBroker
import SheafCore

/// Halts a batch for now, and lets it go on: entries of the journal, which workers see that start later, too.
struct Pauser {
    let client: SheafClient

    /// What a stop's reason begins with where the broker has lost the batch's queue.
    private static let queueLost = "queue-lost"

    func pause(_ reference: String) async throws -> BatchChange {
        let journal = try await Journal.read(from: client)
        let record = try journal.find(reference)
        try refuseEnded(record, "there is nothing to pause")
        if record.isPaused { return try await change(record, hasChanged: false) }
        try await append(.paused, to: record, journal)
        // The end may have come first; then the journal has it before this, for every reader.
        try refuseEnded(try journal.find(record.id.text), "there was nothing to pause any more")
        return try await change(record, hasChanged: true)
    }

    func resume(_ reference: String) async throws -> BatchChange {
        let journal = try await Journal.read(from: client)
        let record = try journal.find(reference)
        try refuseEnded(record, "'sheaf retry \(record.id)' runs again what failed")
        guard record.isPaused || record.stopped != nil else { return try await change(record, hasChanged: false) }
        var tolerated = record.tolerated
        if let stop = record.stopped {
            if stop.reason.hasPrefix(Self.queueLost) {
                throw SheafError(
                    .notNow,
                    "batch '\(record.id)' was stopped because the broker lost its tasks (\(stop.reason)); "
                        + "'sheaf retry \(record.id) --missing' publishes those again, and then it goes on"
                )
            }
            tolerated = try await FoldedResults(of: record, client: client).state.settled.policyFailures
        }
        try await append(.resumed(tolerated: tolerated), to: record, journal)
        try refuseEnded(try journal.find(record.id.text), "it did not need to go on any more")
        return try await change(record, hasChanged: true)
    }

    private func append(_ event: JournalEntry.Event, to record: BatchInfo, _ journal: Journal) async throws {
        try await retrying(for: .seconds(30)) { try await journal.append(event, to: record.id, flow: record.flow) }
        try await journal.catchUp()
    }

    private func change(_ record: BatchInfo, hasChanged: Bool) async throws -> BatchChange {
        BatchChange(batch: try await client.batch(record.id.text), hasChanged: hasChanged)
    }

    private func refuseEnded(_ record: BatchInfo, _ consequence: String) throws {
        guard record.ending != nil || record.cancelled != nil else { return }
        let status = record.status(hasStarted: true).rawValue
        throw SheafError(.alreadyFinished, "batch '\(record.id)' has ended already (\(status)); \(consequence)")
    }
}
