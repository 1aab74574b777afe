import Foundation
import SheafBroker
import SheafCore
import Testing

@testable import SheafEmbedded

@Suite("Processes may be killed or stopped at any time", .serialized)
struct KillTests {
    /// The number of concurrent processes of each kind.
    private static let width = 2
    private static let kills = 60

    @Test(
        "60 kills lose and duplicate nothing while processes publish, receive, settle and append",
        .timeLimit(.minutes(2))
    )
    func kills() async throws {
        let folder = try TemporaryFolder()
        let broker = try await SQLiteBroker.open(directory: folder.broker)
        try await broker.declareQueue(QueueDeclaration(name: "q", kind: .tokens()))
        try await broker.declareLog(LogDeclaration(name: "log"))
        let started = ContinuousClock.now
        var count = 0
        func start(_ kind: Int) throws -> Probe {
            count += 1
            switch kind {
            case 0: return try Probe("work", folder, "q")
            case 1: return try Probe("publish", folder, "q", "p\(count)", "1000000")
            default: return try Probe("append", folder, "log", "a\(count)")
            }
        }
        var running = try (0..<3 * Self.width).map { try start($0 % 3) }
        var all = running
        for _ in 0..<Self.kills {
            let index = Int.random(in: running.indices)
            // Some are killed while they open the broker, and some during an operation.
            let lines = Int.random(in: 0...3)
            try await eventually("a process makes progress") { running[index].lines.count >= lines }
            running[index].kill()
            running[index] = try start(index % 3)
            all.append(running[index])
        }
        for index in running.indices where index % 3 != 0 { running[index].kill() }
        try await eventually("the killed processes have ended") {
            running.indices.allSatisfy { $0 % 3 == 0 || !running[$0].isRunning }
        }
        try await eventually(within: .seconds(60), "the queue is empty and no message is held") {
            let held = try await broker.reader.read { transaction in
                try transaction.statement("SELECT count(*) FROM leased").first { $0.integer(0) }
            }
            return try await broker.queueStatus("q")?.ready == 0 && held == 0
        }
        try await broker.deleteQueue("q")
        try await eventually("workers end with the queue") { !running.contains(where: \.isRunning) }

        let published = Set(all.flatMap { $0.messages("published").map(\.id) })
        let received = all.flatMap { $0.messages("got") }
        let acknowledged = all.flatMap { $0.messages("acknowledged") }
        #expect(published.subtracting(received.map(\.id)).isEmpty, "confirmed messages were lost")
        let ends = Dictionary(acknowledged.map { ($0.id, $0.time) }, uniquingKeysWith: min)
        #expect(ends.count == acknowledged.count, "a message was acknowledged twice")
        #expect(received.allSatisfy { $0.time <= ends[$0.id] ?? .max }, "a settled message was delivered again")

        let entries = try await broker.readAll("log")
        let appended = all.flatMap { $0.messages("appended").map { String($0.id) } }
        #expect(!published.isEmpty && !appended.isEmpty && !acknowledged.isEmpty)
        #expect(Set(appended).isSubset(of: entries), "confirmed entries were lost")
        #expect(Set(entries).count == entries.count, "an entry was duplicated")
        // Two entries were appended in one call: they are adjacent, or both are missing.
        for pair in stride(from: 0, to: entries.count, by: 2) {
            let (first, second) = (entries[pair], pair + 1 < entries.count ? entries[pair + 1] : "nothing")
            #expect(first.dropLast() == second.dropLast() && first.hasSuffix("a") && second.hasSuffix("b"))
        }
        await broker.close()
        try await expectIntact(folder)
        print(
            "kills: \(Self.kills), \(published.count) messages, \(received.count) deliveries, \(appended.count) entries"
                + " in \(ContinuousClock.now - started)"
        )
    }

    @Test("A process stopped during a write delays the others by seconds, not indefinitely", .timeLimit(.minutes(2)))
    func stopped() async throws {
        let folder = try TemporaryFolder()
        let broker = try await SQLiteBroker.open(directory: folder.broker)
        try await broker.declareQueue(QueueDeclaration(name: "q", kind: .work(deliveryLimit: 3)))
        try await broker.declareQueue(QueueDeclaration(name: "other", kind: .work(deliveryLimit: 3)))
        let probe = try Probe("publish", folder, "q", "p", "100000000")
        try await eventually("the probe publishes") { !probe.lines.isEmpty }
        // The probe is stopped repeatedly until that happens within a transaction.
        var error: BrokerError?
        var waited = Duration.zero
        for _ in 0..<200 where error == nil {
            try await Task.sleep(for: .microseconds(Int64.random(in: 1_000...5_000)))
            probe.stop()
            let start = ContinuousClock.now
            do {
                try await broker.publish(Message(id: "patient"), to: "other")
                probe.resume()
            } catch let failure as BrokerError {
                error = failure
                waited = ContinuousClock.now - start
            }
        }
        let failure = try #require(error, "the probe was never stopped during a transaction")
        #expect(failure.code == .timedOut && failure.isRetryable)
        #expect(failure.message.contains("\(probe.number)"), "\(failure)")
        #expect(waited < .seconds(25), "\(waited)")
        // Readers are not affected.
        #expect(try await broker.queueStatus("q")?.ready ?? 0 > 0)
        probe.resume()
        try await broker.publish(Message(id: "after"), to: "other")
        // A process that is killed while it is stopped releases the lock like any other.
        probe.stop()
        probe.kill()
        try await broker.publish(Message(id: "last"), to: "other")
        print("stopped: others were delayed by \(waited)")
        await broker.close()
        try await expectIntact(folder)
    }
}

extension SQLiteBroker {
    /// Returns the IDs of all entries of a log.
    fileprivate func readAll(_ log: String) async throws -> [String] {
        let end = try await endOffset(of: log) ?? 0
        let reader = try await read(log, from: .first)
        var ids: [String] = []
        var offset: Int64 = 0
        while offset < end, let chunk = try await reader.next() {
            ids += chunk.entries.map(\.message.id)
            offset = chunk.nextOffset
        }
        return ids
    }
}
