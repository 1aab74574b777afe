import Logging
import SheafBatches
import SheafBroker
import SheafCore
import SheafFlows

/// The log of submissions, as a worker writes and reads it.
struct SubmissionLog: Sendable {
    private let client: SheafClient
    private let reader: SubmissionReader
    private let worker: String
    private let timing: WorkerTiming

    init(client: SheafClient, worker: String, timing: WorkerTiming) {
        self.client = client
        self.reader = SubmissionReader(client: client)
        self.worker = worker
        self.timing = timing
    }

    /// Appends an entry; gives up soon if the broker does not take it, since the memo decides what happens.
    func append(_ entry: SubmissionEntry) async {
        var entry = entry
        entry.by = worker
        let (client, message) = (client, entry.message)
        do {
            let isWritten: Void? = try await within(timing.lastPatience) {
                try await retrying { try await client.broker.append(message, to: client.names.submissions) }
            }
            if isWritten == nil { client.logger.debug("the log of submissions has no entry '\(message.type)'") }
        } catch {
            client.logger.debug("cannot write to the log of submissions: \(error)")
        }
    }

    /// Returns what the log says about a submission now; nil if that is nothing, or it cannot be read.
    func submission(_ key: String) async -> Submission? {
        do {
            return try await reader.catchUp()[key]
        } catch {
            client.logger.debug("cannot read the log of submissions: \(error)")
            return nil
        }
    }

    /// Returns the tokens that come before those of a submission; nil if the log cannot be read.
    func tokens(before key: String, _ journal: Journal) async -> Int? {
        do {
            let ahead = try await reader.catchUp().ahead(of: key)
            // The submissions of a batch that is over are cancelled, if they still run.
            let live = ahead.filter { journal[$0.batch].map { $0.ending == nil } ?? false }
            return live.reduce(0) { $0 + $1.tokens }
        } catch {
            client.logger.debug("cannot read the log of submissions: \(error)")
            return nil
        }
    }
}

/// Records what becomes of the submissions of one bulk.
struct BulkRecorder: SubmissionRecorder {
    let log: SubmissionLog
    let journal: Journal
    let bulk: String
    let batch: Name
    let flow: Name

    func record(_ event: SubmissionEntry.Event, of key: String) async {
        await log.append(
            SubmissionEntry(key: key, batch: batch, flow: flow, bulk: bulk, at: .now, by: "", event: event)
        )
    }

    func submission(_ key: String) async -> Submission? { await log.submission(key) }

    func tokens(before key: String) async -> Int? { await log.tokens(before: key, journal) }
}
