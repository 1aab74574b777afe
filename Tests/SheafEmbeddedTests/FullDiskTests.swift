import Foundation
import SheafBroker
import SheafCore
import SystemPackage
import Testing

@testable import SheafEmbedded

@Suite("A full disk fails only writes that do not fit", .timeLimit(.minutes(1)))
struct FullDiskTests {
    @Test("Writes that fit succeed although concurrent ones fail")
    func concurrentCalls() async throws {
        let folder = try TemporaryFolder()
        let broker = try await SQLiteBroker.open(directory: folder.broker)
        try await broker.declareQueue(QueueDeclaration(name: "q", kind: .work(deliveryLimit: 3)))
        try await broker.limit(toPages: 100)
        let large = Message(id: "large", body: [UInt8](repeating: 1, count: 1 << 20))
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<20 {
                group.addTask { try await broker.publish(Message(id: String(number)), to: "q") }
                group.addTask {
                    let error = await blocked { try await broker.publish(large, to: "q") }
                    #expect(error?.message.contains("the disk is full") == true)
                    #expect(error?.message.contains(broker.directory.database) == true)
                    #expect(error?.isRetryable == true)
                }
            }
            try await group.waitForAll()
        }
        #expect(try await broker.queueStatus("q")?.ready == 20)
        await broker.close()
    }

    @Test("Publishing, consumers, readers and locks continue with the same broker after space was freed")
    func spaceFreed() async throws {
        let folder = try TemporaryFolder()
        let (broker, other) = (
            try await SQLiteBroker.open(directory: folder.broker), try await SQLiteBroker.open(directory: folder.broker)
        )
        try await broker.declareQueue(
            QueueDeclaration(name: "q", kind: .work(deliveryLimit: 1_000, acceptsDelayed: true))
        )
        try await broker.declareLog(LogDeclaration(name: "log"))
        let consumer = try await broker.consume("q", prefetch: 2_000)
        let reader = try await other.read("log", from: .first)
        async let entries = reader.next()
        try await broker.publish((0..<3).map { Message(id: "\($0)") }, to: "q")
        let held = try #require(try await consumer.next())
        try await broker.fill("q")

        for call in [
            { try await broker.append(Message(id: "no", body: big), to: "log") },
            { try await broker.publish(Message(id: "no", body: big), to: "q", after: .milliseconds(1)) },
            { try await broker.publish([Message(id: "no"), Message(id: "no", body: big)], to: "q") },
        ] as [@Sendable () async throws -> Void] {
            _ = await blocked(call)
        }
        // Readers are not affected, and the broker can be opened.
        let late = try await SQLiteBroker.open(directory: folder.broker)
        #expect(try await late.queueStatus("q")?.ready ?? 0 > 0)
        #expect(try await late.endOffset(of: "log") == 0)
        #expect(try await late.acquireLock("lock") != nil)
        await late.close()

        try await broker.limit(toPages: 1_000_000)
        try await broker.append(Message(id: "yes"), to: "log")
        #expect(try #require(try await entries).entries.map(\.message.id) == ["yes"])
        try await broker.settle(held, as: .returned)
        var ids: Set<String> = []
        while try await broker.queueStatus("q")?.ready ?? 0 > 0 {
            let deliveries = try #require(try await consumer.next())
            ids.formUnion(deliveries.map(\.message.id))
            try await broker.settle(deliveries, as: .acknowledged)
        }
        #expect(ids.isSuperset(of: ["0", "1", "2"]))
        #expect(!ids.contains("no"))
        for broker in [broker, other] { await broker.close() }
    }

    @Test("A file that cannot grow reuses the space of settled messages")
    func settlingFreesSpace() async throws {
        let folder = try TemporaryFolder()
        let broker = try await SQLiteBroker.open(directory: folder.broker)
        try await broker.declareQueue(QueueDeclaration(name: "q", kind: .tokens()))
        try await broker.fill("q")
        let ready = try #require(try await broker.queueStatus("q")?.ready)
        let deliveries = try #require(try await broker.consume("q", prefetch: 50).next())
        _ = await blocked { try await broker.publish(Message(id: "too early", body: big), to: "q") }
        try await broker.settle(deliveries, as: .acknowledged)
        try await broker.publish(Message(id: "fits again", body: big), to: "q")
        #expect(try await broker.queueStatus("q")?.ready == ready - 50 + 1)
        await broker.close()
    }

    @Test("Exceeding a real file size limit names the file, loses and duplicates nothing, and is recoverable")
    func fileLimit() async throws {
        let folder = try TemporaryFolder()
        let broker = try await SQLiteBroker.open(directory: folder.broker)
        try await broker.declareQueue(QueueDeclaration(name: "q", kind: .work(deliveryLimit: 0)))
        await broker.close()
        let probe = try Probe("full-disk", folder, "q")
        try await eventually(within: .seconds(40), "the probe ends") { !probe.isRunning }
        #expect(probe.status == 0)
        let published = probe.messages("published").map(\.id)
        #expect(published.count > 20 && published.last == "after")
        let failure = try #require(probe.lines.first { $0.hasPrefix("failed ") })
        #expect(failure.hasPrefix("failed blocked true there is no space for the broker's file \(folder.broker)"))
        #expect(failure.contains("File too large"))
        #expect(probe.lines.contains("ready \(published.count - 1)"))
        #expect(probe.lines.contains("append blocked"))
        #expect(probe.lines.filter { $0.hasPrefix("read ") } == ["read before", "read after"])
        #expect(probe.messages("got").map(\.id) == published)
        try await expectIntact(folder)
    }

    @Test("Opening on a full disk is a clear error and leaves nothing that prevents opening later")
    func openingOnFullDisk() async throws {
        let folder = try TemporaryFolder()
        for round in 0..<2 {
            let probe = try Probe("full-disk-open", folder, "q")
            try await eventually("the probe ends") { !probe.isRunning }
            #expect(probe.status == 0)
            let first = try #require(probe.lines.first)
            #expect(first.hasPrefix("failed blocked there is no space for"), "\(first), round \(round)")
            #expect(probe.lines.last == "opened")
        }
        let manager = FileManager.default
        let left = try manager.subpathsOfDirectory(atPath: folder.broker.string).sorted()
        #expect(left == ["locks", "opening", "sessions", "sheaf.sqlite", "turn"])
        try await expectIntact(folder)
    }
}

private let big = [UInt8](repeating: 1, count: 100_000)

/// Opens the broker and runs SQLite's integrity check.
func expectIntact(_ folder: TemporaryFolder, sourceLocation: SourceLocation = #_sourceLocation) async throws {
    let broker = try await SQLiteBroker.open(directory: folder.broker)
    let answer = try await broker.reader.read { transaction in
        try transaction.statement("PRAGMA integrity_check").first { $0.text(0) }
    }
    #expect(answer == "ok", sourceLocation: sourceLocation)
    await broker.close()
}

/// Runs the body, and returns the `blocked` error that it must throw.
private func blocked(
    sourceLocation: SourceLocation = #_sourceLocation,
    _ body: () async throws -> Void
) async -> BrokerError? {
    do {
        try await body()
        Issue.record("there was no error", sourceLocation: sourceLocation)
    } catch let error as BrokerError {
        #expect(error.code == .blocked, "\(error)", sourceLocation: sourceLocation)
        return error
    } catch {
        Issue.record(error, sourceLocation: sourceLocation)
    }
    return nil
}

extension SQLiteBroker {
    /// Limits the size of the file for this broker; SQLite reports a larger file as a full disk.
    func limit(toPages pages: Int) async throws {
        _ = try await writer.perform { transaction in
            try transaction.statement("PRAGMA max_page_count = \(pages)").first { $0.integer(0) }
        }
    }

    /// Publishes until not even the smallest message fits.
    fileprivate func fill(_ queue: String) async throws {
        try await limit(toPages: 400)
        for size in [3_000, 300, 0] {
            while true {
                do {
                    let messages = (0..<20).map { _ in Message(id: "filler", body: [UInt8](repeating: 0, count: size)) }
                    try await publish(messages, to: queue)
                } catch let error as BrokerError where error.code == .blocked {
                    break
                }
            }
        }
    }
}
