import SheafBroker
package import SheafCore
import Synchronization

/// This process's copy of the journal: replayed first, then followed.
package final class Journal: Sendable {
    private struct Contents {
        var state = JournalState()
        /// The batches requested since the last change, boxed so that they are not copied for each task.
        var boxes: [Name: Boxed<BatchInfo>] = [:]
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

    /// Reads the journal up to its present end.
    package static func read(from client: SheafClient) async throws -> Journal {
        Journal(client: client, try await JournalReplay(client: client).read())
    }

    /// The folded journal as far as it was read.
    package var state: JournalState { contents.withLock { $0.state } }

    /// A batch as far as the journal was read; nil if it does not exist.
    package subscript(_ batch: Name) -> BatchInfo? { contents.withLock { $0.state[batch] } }

    /// A batch by reference, so that it is not copied for each task.
    package func boxed(_ batch: Name) -> Boxed<BatchInfo>? {
        contents.withLock { contents in
            if let known = contents.boxes[batch] { return known }
            let box = contents.state[batch].map { Boxed(wrappedValue: $0) }
            contents.boxes[batch] = box
            return box
        }
    }

    /// A number that grows with each change.
    package var revision: Int { changeCount.load(ordering: .sequentiallyConsistent) }

    /// Whether the running tasks of a batch must end at once.
    package func isCancelledNow(_ batch: Name) -> Bool { contents.withLock { $0.state[batch]?.cancelled?.now == true } }

    /// Whether nothing more happens to a batch: it has ended, or was deleted.
    package func isOver(_ batch: Name) -> Bool { self[batch].map { $0.ending != nil } ?? true }

    /// A stream with an element at first and after each change.
    package func changes() -> AsyncStream<Void> { changed.stream() }

    /// Finds a batch by its id, or the newest for `last`; throws `notFound`.
    package func find(_ reference: String) throws -> BatchInfo {
        let state = self.state
        if reference == "last" {
            guard let newest = state.last else {
                throw SheafError(.notFound, "there is no batch yet", advice: .createBatch)
            }
            return newest
        }
        guard let name = Name(reference), let info = state[name] else {
            if let name = Name(reference), state.isDeleted(name) {
                throw SheafError(.notFound, "batch '\(name)' was deleted")
            }
            throw SheafError(.notFound, "batch '\(reference)' does not exist", advice: .listBatches)
        }
        return info
    }

    /// Reads the entries appended since the last read, up to the present end.
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
    /// Whether the entry changed anything is known only after it was read back.
    package func append(_ event: JournalEntry.Event, to batch: Name, flow: Name) async throws {
        let message = JournalEntry(batch: batch, flow: flow, at: .now, event: event).message
        guard message.body.count <= JournalEntry.maximumSize else {
            throw SheafError(
                .invalid,
                "the journal entry of batch '\(batch)' has \(message.body.count) bytes; the limit is "
                    + "\(JournalEntry.maximumSize) bytes; use fewer parameters"
            )
        }
        try await client.broker.append(message, to: client.names.journal)
    }

    @Sendable
    private func apply(_ chunk: LogChunk) {
        let hasChanged = contents.withLock { contents in
            // Following and catching up may read at once; entries that one has applied are skipped by the other.
            let fresh = chunk.entries.filter { $0.offset >= contents.nextOffset }
            contents.nextOffset = max(contents.nextOffset, chunk.nextOffset)
            var hasChanged = false
            for entry in fresh {
                guard let event = JournalEntry(entry.message) else { continue }
                if contents.state.apply(event) { hasChanged = true }
            }
            if hasChanged { contents.boxes = [:] }
            return hasChanged
        }
        guard hasChanged else { return }
        changeCount.add(1, ordering: .sequentiallyConsistent)
        changed.notify()
    }
}
