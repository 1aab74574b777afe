import Foundation
import SheafBroker
import SheafCore
import Testing

@testable import SheafEmbedded

@Suite("Several processes share an embedded broker", .serialized)
struct ProcessTests {
    @Test(
        "Messages and locks of a killed process are released although its child process runs",
        .timeLimit(.minutes(1))
    )
    func killedHolder() async throws {
        let folder = try TemporaryFolder()
        let broker = try await SQLiteBroker.open(directory: folder.broker)
        try await broker.declareQueue(QueueDeclaration(name: "q", kind: .work(deliveryLimit: 3)))
        try await broker.publish((0..<5).map { Message(id: String($0)) }, to: "q")
        let probe = try Probe("hold", folder, "q", "lock")
        try await eventually("the probe holds everything") { !probe.lines.isEmpty }
        let words = try #require(probe.lines.first).split(separator: " ")
        try #require(words.prefix(3) == ["holding", "5", "true"])
        let child = try #require(words.last.flatMap { pid_t($0) })
        defer { kill(child, SIGKILL) }
        #expect(try await broker.isLocked("lock"))
        #expect(try await broker.get("q") == nil)

        let consumer = try await broker.consume("q", prefetch: 5)
        async let back = consumer.next()
        probe.kill()
        let start = ContinuousClock.now
        let deliveries = try #require(try await back)
        #expect(ContinuousClock.now - start < .seconds(2))
        #expect(deliveries.map(\.message.id) == ["0", "1", "2", "3", "4"])
        #expect(deliveries.allSatisfy { $0.earlierDeliveries == 1 })
        #expect(kill(child, 0) == 0, "the child ended too early for a valid result")
        // A process that ends closes its files one after the other.
        try await eventually(within: .seconds(2), "the lock is free") { try await broker.acquireLock("lock") != nil }
        #expect(try await broker.queueStatus("q") == QueueStatus(ready: 0, consumers: 1))
        await broker.close()
    }

    @Test("Messages of a killed process return although no consumer waits", .timeLimit(.minutes(1)))
    func killedHolderOfTokens() async throws {
        let folder = try TemporaryFolder()
        let broker = try await SQLiteBroker.open(directory: folder.broker)
        try await broker.declareQueue(QueueDeclaration(name: "permits", kind: .tokens()))
        try await broker.publish(Message(id: "token"), to: "permits")
        let probe = try Probe("hold", folder, "permits", "lock")
        try await eventually("the probe holds the token") { !probe.lines.isEmpty }
        probe.kill()
        try await eventually(within: .seconds(3), "the token is back") { try await broker.get("permits") != nil }
        await broker.close()
    }

    @Test("Several processes can open a new broker at the same time", .timeLimit(.minutes(1)))
    func openingTogether() async throws {
        let folder = try TemporaryFolder()
        let probes = try (0..<8).map { _ in try Probe("open", folder, "q") }
        for probe in probes {
            try await eventually("the probe has opened the broker") { !probe.isRunning }
            #expect(probe.status == 0)
        }
    }

    @Test("None of four constantly writing processes starves", .timeLimit(.minutes(1)))
    func fairness() async throws {
        let folder = try TemporaryFolder()
        let broker = try await SQLiteBroker.open(directory: folder.broker)
        try await broker.declareQueue(QueueDeclaration(name: "q", kind: .work(deliveryLimit: 3)))
        let probes = try (0..<4).map { try Probe("publish", folder, "q", "p\($0)", "1000000") }
        try await eventually("all have begun") { probes.allSatisfy { !$0.lines.isEmpty } }
        let before = probes.map(\.lines.count)
        try await eventually("some have written a lot") { probes.contains { $0.lines.count > 30_000 } }
        let written = zip(probes, before).map { $0.lines.count - $1 }
        for probe in probes { probe.kill() }
        print("fairness: \(written)")
        let most = try #require(written.max())
        #expect(written.allSatisfy { $0 > most / 4 }, "\(written)")
        await broker.close()
    }

    @Test("20,000 messages survive repeated kill -9 of six processes", .timeLimit(.minutes(2)))
    func storm() async throws {
        let folder = try TemporaryFolder()
        let broker = try await SQLiteBroker.open(directory: folder.broker)
        try await broker.declareQueue(QueueDeclaration(name: "q", kind: .tokens()))
        let started = ContinuousClock.now
        var workers = try (0..<3).map { _ in try Probe("work", folder, "q") }
        var publishers = try (0..<3).map { try Probe("publish", folder, "q", "p\($0)", "8000") }
        var all = workers + publishers
        var random = SystemRandomNumberGenerator()
        var restarts = 0
        // The first fifteen kills hit running processes; the restarted publishers use new names.
        while restarts < 15 || publishers.contains(where: \.isRunning) {
            try await Task.sleep(for: .milliseconds(Int64.random(in: 10...60, using: &random)))
            guard restarts < 15 else { continue }
            restarts += 1
            let index = Int.random(in: 0..<3, using: &random)
            if restarts % 5 == 0 {
                publishers[index].kill()
                publishers[index] = try Probe("publish", folder, "q", "p\(index)r\(restarts)", "5000")
                all.append(publishers[index])
            } else {
                workers[index].kill()
                workers[index] = try Probe("work", folder, "q")
                all.append(workers[index])
            }
        }
        // A killed publisher may have committed its last messages without reporting them: more messages may arrive than
        // were confirmed.
        try await eventually(within: .seconds(40), "the queue is empty and no message is held") {
            let held = try await broker.reader.read { transaction in
                try transaction.statement("SELECT count(*) FROM leased").first { $0.integer(0) }
            }
            return try await broker.queueStatus("q")?.ready == 0 && held == 0
        }
        try await broker.deleteQueue("q")
        try await eventually("workers end with the queue") { !workers.contains(where: \.isRunning) }
        await broker.close()

        let published = Set(all.flatMap { $0.messages("published").map(\.id) })
        let received = all.flatMap { $0.messages("got") }
        let acknowledged = all.flatMap { $0.messages("acknowledged") }
        #expect(published.count >= 9_000)
        #expect(published.subtracting(received.map(\.id)).isEmpty, "confirmed messages were lost")
        let ends = Dictionary(acknowledged.map { ($0.id, $0.time) }, uniquingKeysWith: min)
        #expect(ends.count == acknowledged.count, "a message was acknowledged twice")
        let late = received.filter { $0.time > ends[$0.id] ?? .max }
        #expect(late.isEmpty, "acknowledged messages were delivered again")
        print("storm: \(published.count) messages, \(received.count) deliveries in \(ContinuousClock.now - started)")
    }
}
