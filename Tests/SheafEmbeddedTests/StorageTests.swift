import Foundation
import SheafBroker
import SheafCore
import SystemPackage
import Testing

@testable import SheafEmbedded

@Suite("The embedded broker's files")
struct StorageTests {
    @Test("Only the user can read the files")
    func modes() async throws {
        let folder = try TemporaryFolder()
        let broker = try await SQLiteBroker.open(directory: folder.broker)
        try await broker.declareLog(LogDeclaration(name: "log"))
        _ = try await broker.acquireLock("lock")
        let manager = FileManager.default
        let names = try manager.subpathsOfDirectory(atPath: folder.broker.string)
        #expect(names.contains("sheaf.sqlite-wal"))
        for name in names + ["."] {
            let attributes = try manager.attributesOfItem(atPath: "\(folder.broker.string)/\(name)")
            let mode = try #require(attributes[.posixPermissions] as? Int)
            #expect(mode & 0o077 == 0, "\(name) has mode \(String(mode, radix: 8))")
        }
        await broker.close()
        let left = try manager.subpathsOfDirectory(atPath: folder.broker.string).sorted()
        #expect(left == ["locks", "opening", "sessions", "sheaf.sqlite", "turn"])
    }

    @Test("A file that is not a database, and a folder that cannot be created, are storage errors")
    func strangeFiles() async throws {
        let folder = try TemporaryFolder()
        let path = folder.broker.string
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        let text = String(repeating: "this is not a database\n", count: 500)
        try text.write(toFile: "\(path)/sheaf.sqlite", atomically: false, encoding: .utf8)
        let first = try await storageError { _ = try await SQLiteBroker.open(directory: folder.broker) }
        #expect(first?.message.contains("not a broker's file") == true)
        let below = folder.broker.appending("sheaf.sqlite").appending("folder")
        let second = try await storageError { _ = try await SQLiteBroker.open(directory: below) }
        #expect(second?.message.contains("cannot create the folder") == true)
        _ = try await storageError { _ = try await SQLiteBroker.open(directory: "/proc/sheaf") }
    }

    @Test("A file of a newer version is refused and not changed")
    func newerVersion() async throws {
        let folder = try TemporaryFolder()
        let broker = try await SQLiteBroker.open(directory: folder.broker)
        _ = try await broker.writer.perform { try $0.run("PRAGMA user_version = 99") }
        await broker.close()
        let error = try await storageError { _ = try await SQLiteBroker.open(directory: folder.broker) }
        #expect(error?.message.contains("version 99") == true)
    }

    @Test(
        "Lock names cannot leave their folder",
        arguments: ["../x", "/etc/passwd", "..", ".", "a/../../b", "%2e", "ß"]
    )
    func lockNames(name: String) throws {
        let folder = try TemporaryFolder()
        let directory = try BrokerDirectory(folder.broker)
        let path = try directory.lock(name)
        #expect(path.hasPrefix(directory.locks + "/"))
        let file = path.dropFirst(directory.locks.utf8.count + 1)
        #expect(!file.contains("/") && file != "." && file != "..")
    }

    @Test("Opening completes deletions of a killed process")
    func sweeping() async throws {
        let folder = try TemporaryFolder()
        let broker = try await SQLiteBroker.open(directory: folder.broker)
        let messages = (0..<10).map { Message(id: String($0)) }
        for name in ["deleted", "purged"] {
            try await broker.declareQueue(QueueDeclaration(name: name, kind: .work(deliveryLimit: 3)))
            try await broker.publish(messages, to: name)
        }
        try await broker.declareLog(LogDeclaration(name: "log"))
        try await broker.append(messages, to: "log")
        _ = try await broker.writer.perform { try $0.unname(queue: "deleted") }
        _ = try await broker.writer.perform { try $0.purge("purged") }
        _ = try await broker.writer.perform { try $0.unname(log: "log") }
        await broker.close()
        let next = try await SQLiteBroker.open(directory: folder.broker)
        for table in ["message", "entry", "log"] {
            let count = try await next.reader.read { transaction in
                try transaction.statement("SELECT count(*) FROM \(table)").first { $0.integer(0) }
            }
            #expect(count == 0, "rows of \(table)")
        }
        #expect(try await next.queueStatus("purged")?.ready == 0)
        await next.close()
    }

    @Test("A log with a maximum size deletes its oldest entries")
    func trimming() async throws {
        let folder = try TemporaryFolder()
        let broker = try await SQLiteBroker.open(directory: folder.broker)
        try await broker.declareLog(LogDeclaration(name: "log", maximumBytes: 10_000))
        for number in 0..<50 {
            try await broker.append(Message(id: String(number), body: [UInt8](repeating: 0, count: 1_000)), to: "log")
        }
        let chunk = try #require(try await broker.read("log", from: .first).next())
        #expect((2...10).contains(chunk.entries.count))
        #expect(chunk.entries.last?.offset == 49)
        let large = Message(id: "large", body: [UInt8](repeating: 0, count: 50_000))
        try await broker.append([large, large], to: "log")
        let last = try #require(try await broker.read("log", from: .first).next())
        #expect(last.entries.map(\.offset) == [51])
        await broker.close()
    }
}

/// Runs the body, and returns the `storage` error that it must throw.
private func storageError(_ body: () async throws -> Void) async throws -> BrokerError? {
    do {
        try await body()
        Issue.record("there was no error")
        return nil
    } catch let error as BrokerError {
        #expect(error.code == .storage)
        return error
    }
}
