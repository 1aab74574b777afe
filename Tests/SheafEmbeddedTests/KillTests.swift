import Foundation
import SheafBroker
import SheafCore
import Testing

@testable import SheafEmbedded

@Suite("Processes are killed and stopped at any moment", .serialized)
struct KillTests {
    /// How many processes of each kind run at a time.
    private static let width = 2
    private static let kills = 60

    @Test("60 kills while processes publish, receive, settle and append", .timeLimit(.minutes(2)))
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
            // Some are killed while they open the broker, and some in the middle of what they do.
            let lines = Int.random(in: 0...3)
            try await eventually("a process gets on") { running[index].lines.count >= lines }
            running[index].kill()
            running[index] = try start(index % 3)
            all.append(running[index])
        }
        for index in running.indices where index % 3 != 0 { running[index].kill() }
        try await eventually("they have ended") {
            running.indices.allSatisfy { $0 % 3 == 0 || !running[$0].isRunning }
        }
        try await eventually(within: .seconds(60), "the queue is empty and nobody holds anything") {
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
        #expect(received.allSatisfy { $0.time <= ends[$0.id] ?? .max }, "a settled message came again")

        let entries = try await broker.readAll("log")
        let appended = all.flatMap { $0.messages("appended").map { String($0.id) } }
        #expect(!published.isEmpty && !appended.isEmpty && !acknowledged.isEmpty)
        #expect(Set(appended).isSubset(of: entries), "confirmed entries were lost")
        #expect(Set(entries).count == entries.count, "an entry is there twice")
        // Two entries went in one call: they lie one behind the other, or neither is there.
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

    @Test("A process stopped while it writes holds the others up for seconds, not for ever", .timeLimit(.minutes(2)))
    func stopped() async throws {
        let folder = try TemporaryFolder()
        let broker = try await SQLiteBroker.open(directory: folder.broker)
        try await broker.declareQueue(QueueDeclaration(name: "q", kind: .work(deliveryLimit: 3)))
        try await broker.declareQueue(QueueDeclaration(name: "other", kind: .work(deliveryLimit: 3)))
        let probe = try Probe("publish", folder, "q", "p", "100000000")
        try await eventually("the probe publishes") { !probe.lines.isEmpty }
        // Stopped again and again until that has happened within a transaction.
        var error: BrokerError?
        var waited = Duration.zero
        for _ in 0..<200 where error == nil {
            try await Task.sleep(for: .microseconds(Int64.random(in: 1_000...5_000)))
            probe.stop()
            let start = ContinuousClock.now
            do {
                try await broker.publish(Message(id: "patient"), to: "other")
                probe.goOn()
            } catch let failure as BrokerError {
                error = failure
                waited = ContinuousClock.now - start
            }
        }
        let failure = try #require(error, "the probe was never stopped in the middle")
        #expect(failure.code == .timedOut && failure.isRetryable)
        #expect(failure.message.contains("\(probe.number)"), "\(failure)")
        #expect(waited < .seconds(25), "\(waited)")
        // Who reads does not notice.
        #expect(try await broker.queueStatus("q")?.ready ?? 0 > 0)
        probe.goOn()
        try await broker.publish(Message(id: "after"), to: "other")
        // And one that is killed while it is stopped is gone like any other.
        probe.stop()
        probe.kill()
        try await broker.publish(Message(id: "last"), to: "other")
        print("stopped: others were held up for \(waited)")
        await broker.close()
        try await expectIntact(folder)
    }
}

extension SQLiteBroker {
    /// The ids of all entries of a log.
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
