import SheafBroker
import SheafCore

/// Removes a batch from the broker: its journal entry first, so that nobody looks for what is going.
struct Deleter {
    let client: SheafClient

    /// How long a batch that is cancelled for this may take to end.
    private static let patience = Duration.seconds(60)

    func delete(_ reference: String, force: Bool) async throws -> DeletedBatch {
        let journal = try await Journal.read(from: client)
        if let id = Name(reference), journal.state.isDeleted(id) {
            return try await client.holding(id, journal) { _ in
                try await removeRest(of: id)
                return DeletedBatch(id: id, wasDeleted: true)
            }
        }
        let id = try journal.find(reference).id
        if try journal.find(reference).ending == nil {
            try await end(try journal.find(reference), journal, force: force)
        }
        return try await client.holding(id, journal) { held in
            guard let record = held.journal[id] else {
                try await removeRest(of: id)
                return DeletedBatch(id: id, wasDeleted: true)
            }
            guard record.ending != nil else { throw refusal(record) }
            try await retrying(for: .seconds(30)) {
                try await journal.append(.deleted, to: id, flow: record.flow)
            }
            try await remove(id, flow: record.flow, generation: record.generation)
            return DeletedBatch(id: id, wasDeleted: false)
        }
    }

    private func refusal(_ record: BatchInfo) -> SheafError {
        SheafError(
            .notNow,
            "batch '\(record.id)' has not ended; 'sheaf cancel \(record.id)' ends it, and --force does so before deleting"
        )
    }

    /// Cancels a batch and waits for its end.
    private func end(_ record: BatchInfo, _ journal: Journal, force: Bool) async throws {
        guard force else { throw refusal(record) }
        do {
            try await client.cancel(record.id.text, now: true)
        } catch let error as SheafError where error.code == .alreadyFinished {
            // It has ended by itself meanwhile.
        }
        let client = self.client
        let id = record.id
        try await withTimeLimit(
            Self.patience,
            "batch '\(id)' is cancelled, and has not ended within \(Self.patience.components.seconds) seconds: "
                + "somebody still runs or publishes its tasks; try again when that is over"
        ) {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await journal.run() }
                group.addTask { try await Aggregator(client: client, journal: journal).run() }
                group.addTask {
                    for await _ in journal.changes() where journal[id].map({ $0.ending != nil }) ?? true { return }
                }
                try await group.next()
                group.cancelAll()
            }
        }
    }

    /// Removes what an interrupted deletion may have left; only the journal's own entries still tell its name.
    private func removeRest(of id: Name) async throws {
        var flow: Name?
        var generation = 0
        try await client.broker.replay(client.names.journal, from: .first) { chunk in
            for entry in chunk.entries {
                guard let entry = JournalEntry(entry.message), entry.batch == id else { continue }
                if case .created = entry.event { flow = flow ?? entry.flow }
                if case .retried(let later, _, _, _) = entry.event { generation = max(generation, later) }
                if case .deleted = entry.event { flow = flow ?? entry.flow }
            }
        }
        if let flow { try await remove(id, flow: flow, generation: generation) }
    }

    private func remove(_ id: Name, flow: Name, generation: Int) async throws {
        let (broker, names) = (client.broker, client.names)
        // One more, which a retry may have prepared that was interrupted.
        for generation in 0...generation + 1 {
            try await retrying(for: .seconds(30)) {
                try await broker.deleteQueue(names.tasks(flow: flow, batch: id, generation: generation))
                try await broker.deleteQueue(names.permits(batch: id, generation: generation))
            }
        }
        try await retrying(for: .seconds(30)) {
            try await broker.deleteLog(names.results(batch: id))
            try await broker.deleteLog(names.questions(batch: id))
        }
    }
}
