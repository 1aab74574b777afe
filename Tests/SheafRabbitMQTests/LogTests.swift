import SheafBroker
import SheafCore
import SheafRabbitMQ
import SheafTestTools
import Testing

@Suite struct LogTests {
    @Test("Appending to a deleted log throws notFound")
    func appendingToADeletedLogIsNotConfirmed() async throws {
        let broker = try await connect(try await RabbitMQNode.shared)
        let log = uniqueName("log")
        try await broker.declareLog(LogDeclaration(name: log))
        try await broker.append(Message(id: "0"), to: log)
        try await broker.deleteLog(log)
        let error = try await brokerError { try await broker.append(Message(id: "1"), to: log) }
        #expect(error.code == .notFound)
        #expect(error.message.contains(log))
        await broker.close()
    }

    @Test("The newest entry is found before trailing marks", arguments: [1, 100, 1_000])
    func newestEntryBeforeMarks(marks: Int) async throws {
        let broker = try await connect(try await RabbitMQNode.shared)
        let log = uniqueName("log")
        try await broker.declareLog(LogDeclaration(name: log))
        try await broker.append([Message(id: "old"), Message(id: "newest")], to: log)
        for _ in 0..<4 {
            try await broker.append(Array(repeating: Message(type: Message.markType), count: marks / 4 + 1), to: log)
        }
        _ = try await broker.endOffset(of: log)
        #expect(try await entries(1, of: log, from: .last, on: broker).last?.message.id == "newest")
        try await broker.deleteLog(log)
        await broker.close()
    }

    @Test("A log that contains only marks is read from its first new entry")
    func marksOnly() async throws {
        let broker = try await connect(try await RabbitMQNode.shared)
        let log = uniqueName("log")
        try await broker.declareLog(LogDeclaration(name: log))
        for _ in 0..<3 { _ = try await broker.endOffset(of: log) }
        let end = try await broker.endOffset(of: log)
        let reader = try await broker.read(log, from: .last)
        let marks = LogChunk(entries: [], nextOffset: end ?? 0, startOffset: 0)
        #expect(try await within(.seconds(10)) { try await reader.next() } == marks)
        try await broker.append(Message(id: "first"), to: log)
        #expect(try await within(.seconds(10)) { try await reader.next() }?.entries.first?.message.id == "first")
        try await broker.deleteLog(log)
        await broker.close()
    }

    @Test("The end offset is exact during concurrent appends")
    func theEndIsExactWhileOthersAppend() async throws {
        let broker = try await connect(try await RabbitMQNode.shared)
        let log = uniqueName("log")
        try await broker.declareLog(LogDeclaration(name: log))
        let appending = Task {
            var count = 0
            while !Task.isCancelled {
                try await broker.append((0..<10).map { Message(id: String(count + $0)) }, to: log)
                count += 10
            }
            return count
        }
        var ends: [Int64] = []
        for _ in 0..<20 { ends.append(try #require(try await broker.endOffset(of: log))) }
        appending.cancel()
        _ = await appending.result
        #expect(ends == ends.sorted())
        try await broker.append(Message(id: "after"), to: log)
        let last = try #require(ends.last)
        let rest = try await entries(1, of: log, from: .offset(last), on: broker)
        #expect(rest.allSatisfy { $0.offset >= last })
        try await broker.deleteLog(log)
        await broker.close()
    }

    @Test("Redeclaring a log with another size leaves it unchanged")
    func otherSize() async throws {
        let broker = try await connect(try await RabbitMQNode.shared)
        let (log, queue) = (uniqueName("log"), uniqueName("queue"))
        try await broker.declareLog(LogDeclaration(name: log, maximumBytes: 1_000))
        try await broker.declareLog(LogDeclaration(name: log))
        try await broker.declareLog(LogDeclaration(name: log, maximumBytes: 1_000_000_000))
        try await broker.declareQueue(QueueDeclaration(name: queue, kind: .work(deliveryLimit: 3)))
        let error = try await brokerError { try await broker.declareLog(LogDeclaration(name: queue)) }
        #expect(error.code == .mismatch)
        try await broker.deleteLog(log)
        try await broker.deleteQueue(queue)
        await broker.close()
    }
}
