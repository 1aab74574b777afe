import SheafBroker
package import SheafCore
import Synchronization

/// The journal as this process knows it: replayed at first, then followed.
package final class Journal: Sendable {
    private struct Contents {
        var state = JournalState()
        /// What was asked for since the last change, so that it is not copied again for each task.
        var asked: [Name: Boxed<BatchInfo>] = [:]
        var nextOffset: Int64 = 0
    }

    private let client: SheafClient
    private let contents = Mutex(Contents())
    private let changed = Changes()
    private let changeCount = Atomic(0)

    private init(client: SheafClient, _ checkpoint: JournalCheckpoint) {
        self.client = client
        contents.withLock { contents in
            contents.state = checkpoint.history.state
            contents.nextOffset = checkpoint.nextOffset
        }
    }

    /// Reads the journal to its present end.
    package static func read(from client: SheafClient) async throws -> Journal {
        Journal(client: client, try await JournalReplay(client: client).read())
    }

    /// What is known now.
    package var state: JournalState { contents.withLock { $0.state } }

    /// What is known of a batch now.
    package subscript(_ batch: Name) -> BatchInfo? { contents.withLock { $0.state[batch] } }

    /// What is known of a batch now, by reference.
    package func boxed(_ batch: Name) -> Boxed<BatchInfo>? {
        contents.withLock { contents in
            if let known = contents.asked[batch] { return known }
            let box = contents.state[batch].map { Boxed(wrappedValue: $0) }
            contents.asked[batch] = box
            return box
        }
    }

    /// Grows with each change.
    package var revision: Int { changeCount.load(ordering: .sequentiallyConsistent) }

    /// Whether the running tasks of a batch are to end at once.
    package func isCancelledNow(_ batch: Name) -> Bool { contents.withLock { $0.state[batch]?.cancelled?.now == true } }

    /// A stream with an element at first and after each change.
    package func changes() -> AsyncStream<Void> { changed.stream() }

    /// The batch of that id, or the newest for `last`; throws `notFound`.
    package func find(_ reference: String) throws -> BatchInfo {
        let state = self.state
        if reference == "last" {
            guard let newest = state.last else {
                throw SheafError(.notFound, "there is no batch yet; 'sheaf create' makes one")
            }
            return newest
        }
        guard let name = Name(reference), let record = state[name] else {
            if let name = Name(reference), state.isDeleted(name) {
                throw SheafError(.notFound, "batch '\(name)' was deleted")
            }
            throw SheafError(.notFound, "there is no batch '\(reference)'; 'sheaf list' shows those there are")
        }
        return record
    }

    /// Reads what has been appended since, up to now.
    package func catchUp() async throws {
        let offset = contents.withLock { $0.nextOffset }
        try await retrying(for: .seconds(15)) {
            try await client.broker.replay(client.names.journal, from: .offset(offset), apply)
        }
    }

    /// Follows the journal until cancelled.
    package func run() async throws {
        let offset = contents.withLock { $0.nextOffset }
        try await client.broker.follow(client.names.journal, from: .offset(offset)) { chunk in
            apply(chunk)
            return true
        }
    }

    /// Appends an entry and returns when it is confirmed.
    ///
    /// Whether it changed anything is known once it was read back.
    package func append(_ event: JournalEntry.Event, to batch: Name, flow: Name) async throws {
        let message = JournalEntry(batch: batch, flow: flow, at: .now, event: event).message
        guard message.body.count <= JournalEntry.maximumSize else {
            throw SheafError(
                .invalid,
                "what the journal is to say of batch '\(batch)' has \(message.body.count) bytes; the limit is "
                    + "\(JournalEntry.maximumSize); give it less parameters"
            )
        }
        try await client.broker.append(message, to: client.names.journal)
    }

    @Sendable
    private func apply(_ chunk: LogChunk) {
        let hasChanged = contents.withLock { contents in
            // Two may read at once (following and catching up); what one has applied the other leaves out.
            let fresh = chunk.entries.filter { $0.offset >= contents.nextOffset }
            contents.nextOffset = max(contents.nextOffset, chunk.nextOffset)
            var hasChanged = false
            for entry in fresh {
                guard let event = JournalEntry(entry.message) else { continue }
                if contents.state.apply(event) { hasChanged = true }
            }
            if hasChanged { contents.asked = [:] }
            return hasChanged
        }
        guard hasChanged else { return }
        changeCount.add(1, ordering: .sequentiallyConsistent)
        changed.notify()
    }
}
