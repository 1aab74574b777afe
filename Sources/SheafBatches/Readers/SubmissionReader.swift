import SheafBroker
package import SheafCore
import Synchronization

/// This process's copy of the log of submissions, as far as it was read.
package final class SubmissionReader: Sendable {
    private struct Contents {
        var submissions = Submissions()
        var nextOffset: Int64 = 0
    }

    private let client: SheafClient
    private let contents = Mutex(Contents())

    /// Creates a copy that has read nothing.
    package init(client: SheafClient) { self.client = client }

    /// Reads the log to its present end.
    package func catchUp() async throws -> Submissions {
        let offset = contents.withLock { $0.nextOffset }
        try await retrying(for: .seconds(15)) {
            let start: LogPosition = offset == 0 ? .first : .offset(offset)
            try await client.broker.replay(client.names.submissions, from: start, apply)
        }
        return contents.withLock { $0.submissions }
    }

    @Sendable
    private func apply(_ chunk: LogChunk) {
        contents.withLock { contents in
            // Two calls may read at once; entries that one has applied are skipped by the other.
            for entry in chunk.entries where entry.offset >= contents.nextOffset {
                if let entry = SubmissionEntry(entry.message) { contents.submissions.apply(entry) }
            }
            contents.nextOffset = max(contents.nextOffset, chunk.nextOffset)
        }
    }
}
