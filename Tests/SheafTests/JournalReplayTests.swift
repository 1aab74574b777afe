import SheafBroker
import SheafCore
import SheafTestSupport
import Testing

@testable import SheafBatches
@testable import SheafWorker

@Suite("A journal is read from its newest checkpoint")
struct JournalReplayTests {
    private static let flow = Name("echo")

    /// Appends the given number of entries of one batch to the journal, without its creation.
    private func fill(_ client: SheafClient, _ batch: Name, _ count: Int) async throws {
        let flow = Self.flow
        let events: [JournalEntry.Event] =
            [.created(options: BatchOptions(), source: "", nonce: "")] + (1..<count).map { .published(count: $0) }
        let messages = events.map { JournalEntry(batch: batch, flow: flow, at: .now, event: $0).message }
        try await client.broker.append(messages, to: client.names.journal)
    }

    private func newestCheckpoint(_ client: SheafClient) async throws -> JournalCheckpoint? {
        let reader = try await client.broker.read(client.names.checkpoints, from: .last)
        let chunk = try #require(try await reader.next())
        await reader.cancel()
        return chunk.entries.last.flatMap { JournalCheckpoint($0.message) }
    }

    @Test(
        "Reading a long journal writes a checkpoint for the next reader",
        .timeLimit(.minutes(2)),
        arguments: BrokerKind.allCases
    )
    func whoReadsALongJournalSparesItTheNext(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            try await stage.client { client in
                let (first, second) = (Name("first"), Name("second"))
                try await fill(client, first, 10)
                #expect(try await Journal.read(from: client)[first]?.published == 9)
                // A short journal gets no checkpoint.
                await #expect(throws: BrokerError.self) { try await newestCheckpoint(client) }
                try await fill(client, second, 100)
                let journal = try await Journal.read(from: client)
                let checkpoint = try #require(try await newestCheckpoint(client))
                #expect(checkpoint.history.state == journal.state)
                // Of each batch its creation, when its first tasks were published, and how many there are.
                #expect(checkpoint.history.count == 6)

                // Entries after the checkpoint are read too, also by followers.
                let third = Name("third")
                try await fill(client, third, 5)
                let later = try await Journal.read(from: client)
                #expect(later.state.order == [first, second, third])
                try await later.append(.sealed(total: 4), to: third, flow: Self.flow)
                try await later.catchUp()
                #expect(later[third]?.sealedTotal == 4 && later[second]?.published == 99)
            }
        }
    }

    @Test(
        "A reader trusts a readable checkpoint and ignores others",
        .timeLimit(.minutes(2)),
        arguments: BrokerKind.allCases
    )
    func aCheckpointIsWhatIsBelieved(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            try await stage.client { client in
                // The checkpoint differs from the journal, which shows which of them was read.
                let (real, invented) = (Name("real"), Name("invented"))
                try await fill(client, real, 20)
                let end = try #require(try await client.broker.endOffset(of: client.names.journal))
                var history = JournalHistory()
                let creation = JournalEntry.Event.created(options: BatchOptions(), source: "", nonce: "")
                history.add(
                    JournalEntry(batch: invented, flow: Self.flow, at: .now, event: creation).message
                )
                try await client.broker.declareLog(LogDeclaration(name: client.names.checkpoints))
                func write(_ checkpoint: Message) async throws -> [Name] {
                    try await client.broker.append(checkpoint, to: client.names.checkpoints)
                    return try await Journal.read(from: client).state.order
                }
                let good = JournalCheckpoint(nextOffset: end, history: history).message
                #expect(try await write(good) == [invented])
                // A checkpoint that is damaged, or covers more than the journal, is ignored.
                var damaged = good
                damaged.body += Array("{".utf8)
                #expect(try await write(damaged) == [real])
                #expect(try await write(JournalCheckpoint(nextOffset: end + 1_000, history: history).message) == [real])
            }
        }
    }
}
