import SheafBroker
import SheafCore

/// Deletes a batch: first by an entry in the journal, so that no process looks for it, then its queues and logs.
struct Deleter {
    let client: SheafClient

    /// How long a batch that is cancelled for its deletion may take to end.
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
            guard let batch = held.journal[id] else {
                try await removeRest(of: id)
                return DeletedBatch(id: id, wasDeleted: true)
            }
            guard batch.ending != nil else { throw refusal(batch) }
            try await retrying(for: .seconds(30)) {
                try await journal.append(.deleted, to: id, flow: batch.flow)
            }
            try await remove(id, flow: batch.flow, generation: batch.generation)
            return DeletedBatch(id: id, wasDeleted: false)
        }
    }

    private func refusal(_ batch: BatchInfo) -> SheafError {
        SheafError(
            .notNow,
            "cannot delete batch '\(batch.id)': it has not ended",
            advice: .cancelOrForceDeletion(batch.id)
        )
    }

    /// Cancels a batch and waits for its end.
    private func end(_ batch: BatchInfo, _ journal: Journal, force: Bool) async throws {
        guard force else { throw refusal(batch) }
        do {
            try await client.cancel(batch.id.text, now: true)
        } catch let error as SheafError where error.code == .alreadyFinished {
            // It has just ended by itself.
        }
        let client = self.client
        let id = batch.id
        try await withTimeLimit(
            Self.patience,
            "cannot delete batch '\(id)': it was cancelled and has not ended within "
                + "\(Self.patience.components.seconds) seconds, because its tasks are still being run or published; "
                + "try again later"
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

    /// Removes what an interrupted deletion may have left; its flow is known from the journal's entries only.
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
        // One generation more, which an interrupted retry may have prepared.
        for generation in 0...generation + 1 {
            try await retrying(for: .seconds(30)) {
                try await broker.deleteQueue(names.tasks(flow: flow, batch: id, generation: generation))
                try await broker.deleteQueue(names.permits(batch: id, generation: generation))
            }
        }
        try await retrying(for: .seconds(30)) {
            try await broker.deleteQueue(names.restOfTasks(flow: flow, batch: id))
        }
        try await retrying(for: .seconds(30)) { try await broker.deleteLog(names.results(batch: id)) }
    }
}
