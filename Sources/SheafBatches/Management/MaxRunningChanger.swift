import SheafBroker
import SheafCore

/// Changes how many tasks of a batch may run at once.
struct MaxRunningChanger {
    let client: SheafClient

    /// The journal knows of the change before its permits are there, so that an interrupted one allows less, never more.
    func change(_ reference: String, to limit: Int?) async throws -> BatchSummary {
        let journal = try await Journal.read(from: client)
        let id = try journal.find(reference).id
        return try await client.holding(id, journal) { held in
            let record = try held.record()
            guard record.ending == nil, record.cancelled == nil else {
                let status = record.status(hasStarted: true).rawValue
                throw SheafError(
                    .alreadyFinished,
                    "batch '\(id)' has ended already (\(status)); its max_running can no longer be changed"
                )
            }
            let permits = Permits(of: id, from: record.oldestQueue, client: client)
            if limit != nil { try await permits.declare() }
            try await journal.append(.changed(maxRunning: limit), to: id, flow: record.flow)
            try await journal.catchUp()
            let after = try held.record()
            guard after.ending == nil, after.maxRunning == limit else {
                throw SheafError(.alreadyFinished, "batch '\(id)' has ended meanwhile; nothing was changed")
            }
            if limit != nil {
                try await permits.mint(after.permits)
            } else if record.maxRunning != nil {
                // None of them counts any more, whoever holds some.
                try await permits.purge()
            }
            return try await client.batch(id.text)
        }
    }
}
