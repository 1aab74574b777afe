import Sheaf
import SheafBroker
import SheafCore
import SheafTestSupport
import Testing

@testable import SheafBatches

@Suite("Tasks of a batch") struct TaskDirectoryTests {
    @Test("Tasks are listed by status, error type and text, page by page", arguments: BrokerKind.allCases)
    func filters(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            try await stage.client { client in
                let batch = try await client.create(plan(), records: records(30))
                let tasks = TaskDirectory(client: client)
                let done = try await client.runByHand(batch, atMost: 20) { $0.index % 4 == 1 ? .failed : .succeeded }
                let failed = done.filter { $0 % 4 == 1 }
                func indexes(_ limit: Int = 1000, _ change: (inout TaskQuery) -> Void) async throws -> [Int] {
                    var query = TaskQuery()
                    change(&query)
                    var found: [Int] = []
                    var after = -1
                    while true {
                        let page = try await tasks.page(of: "last", matching: query, after: after, limit: limit)
                        #expect(page.total == 30 && page.rows.count <= limit)
                        found += page.rows.map(\.index)
                        guard let next = page.next else { return found }
                        #expect(next > after)
                        after = next
                    }
                }
                #expect(try await indexes { _ in } == Array(0..<30))
                #expect(try await indexes(7) { _ in } == Array(0..<30))
                #expect(try await indexes { $0.statuses = [.failed] } == failed)
                #expect(try await indexes(2) { $0.statuses = [.failed] } == failed)
                #expect(try await indexes { $0.statuses = [.pending] } == (0..<30).filter { !done.contains($0) })
                #expect(try await indexes { $0.statuses = [.pending, .succeeded] }.count == 30 - failed.count)
                #expect(try await indexes { $0.errorType = "broken" } == failed)
                #expect(try await indexes { $0.errorType = "other" }.isEmpty)
                #expect(try await indexes { $0.group = "0000000000000000" }.isEmpty)
                #expect(try await indexes { $0.text = "ON PURPOSE" } == failed)
                #expect(try await indexes { $0.text = "R\(done[0])" }.contains(done[0]))
                #expect(try await indexes { ($0.text, $0.statuses) = ("purpose", [.succeeded]) }.isEmpty)
                #expect(try await indexes { $0.text = "a text that is nowhere" }.isEmpty)
                var query = TaskQuery()
                query.statuses = [.failed]
                #expect(try await tasks.indexes(of: "last", matching: query) == IndexRanges(rising: failed))
            }
        }
    }

    @Test("An index follows the results log and a retry", arguments: BrokerKind.allCases)
    func following(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            try await stage.client { client in
                let batch = try await client.create(plan(), records: records(4))
                let tasks = TaskDirectory(client: client)
                func statuses() async throws -> [TaskRow.Status] {
                    try await tasks.page(of: batch.id.text).rows.map(\.status)
                }
                #expect(try await statuses() == [.pending, .pending, .pending, .pending])
                try await client.runByHand(batch) { $0.index < 2 ? .failed : .succeeded }
                try await until("the outcomes are listed") {
                    try await statuses() == [.failed, .failed, .succeeded, .succeeded]
                }
                #expect(try await tasks.errorGroups(of: batch.id.text).map(\.count) == [2])
                try await client.retry(batch.id.text, only: IndexRanges(rising: [1]))
                try await until("the retried task is pending again") {
                    try await statuses() == [.failed, .pending, .succeeded, .succeeded]
                }
                let waiting = try await tasks.task(of: batch.id.text, index: 1)
                #expect(waiting.row.generation == 1 && waiting.output == nil && waiting.record?.id == "r1")
                #expect(try await tasks.errorGroups(of: batch.id.text).map(\.count) == [1])
                try await client.runByHand(batch, generation: 1)
                try await until("the retried task has succeeded") {
                    try await statuses() == [.failed, .succeeded, .succeeded, .succeeded]
                }
                let detail = try await tasks.task(of: batch.id.text, index: 1)
                #expect(detail.output == Array("1".utf8))
                #expect(detail.attempts.map(\.generation) == [0, 1])
                #expect(detail.attempts.map(\.status) == [.failed, .succeeded])
                #expect(detail.attempts.first?.error?.message == "on purpose")
                #expect(tasks.count == 1)
                // A new index reads the same from the beginning.
                let fresh = TaskDirectory(client: client)
                #expect(try await fresh.page(of: "last") == tasks.page(of: "last"))
            }
        }
    }

    @Test("A task has all its attempts, its record and its output", arguments: BrokerKind.allCases)
    func attempts(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            try await stage.client { client in
                let flow = try FlowDefinition.work(retries: 1) { task in
                    if task.index == 0 || task.attempt == 1 {
                        throw FlowError(type: "broken", message: "attempt \(task.attempt)", isRetryable: true)
                    }
                    return .json(Array(#"{"n":12345678901234567890}"#.utf8))
                }
                _ = try await client.create(plan { $0.options.errorPolicy = .continue }, records: records(2))
                try await stage.work([flow])
                let tasks = TaskDirectory(client: client)
                let failed = try await tasks.task(of: "last", index: 0)
                #expect(failed.row.status == .failed && failed.output == nil)
                #expect(failed.attempts.map(\.attempt) == [1, 2])
                #expect(failed.attempts.map(\.error?.message) == ["attempt 1", "attempt 2"])
                #expect(failed.record?.bytes == Array(#"{"n":0}"#.utf8))
                let succeeded = try await tasks.task(of: "last", index: 1)
                #expect(succeeded.attempts.map(\.status) == [.failed, .succeeded])
                #expect(succeeded.output != nil && succeeded.record == nil)
                #expect(try await tasks.indices(of: "last", record: "r1") == [1])
                #expect(try await tasks.indices(of: "last", record: "r").isEmpty)
                await #expect(throws: SheafError.self) { try await tasks.task(of: "last", index: 2) }
                await #expect(throws: SheafError.self) { try await tasks.page(of: "nothing") }
            }
        }
    }

    @Test("A record's id is found whatever its characters, and has one task per variant of the parameters")
    func recordIDs() async throws {
        try await Stage.with(.embedded) { stage in
            try await stage.client { client in
                let ids = ["a/b c.txt:1", "\"quoted\"", "line\nbreak", "Übergröße", "%2F", "😀"]
                let source = AsyncStream<Record> { continuation in
                    for id in ids { continuation.yield(Record(id: id, kind: .json, bytes: Array("1".utf8))) }
                    continuation.finish()
                }
                let batch = try await client.create(
                    plan { $0.options.parameters = ["model": ["a", "b"]] },
                    records: source
                )
                try await client.runByHand(batch)
                let tasks = TaskDirectory(client: client)
                for (place, id) in ids.enumerated() {
                    #expect(try await tasks.indices(of: "last", record: id) == [2 * place, 2 * place + 1])
                }
            }
        }
    }

    @Test("Errors that differ only in numbers, ids and names belong to one group")
    func patterns() {
        func pattern(_ message: String) -> String { ErrorPatterns.pattern(of: message) }
        #expect(pattern("exit code 3: line 17 of 'a.txt'") == "exit code #: line # of '…'")
        #expect(pattern("task 8f3a9c2e-1b2c-4e2a-beef-0123456789ab failed") == "task # failed")
        #expect(pattern("took 1.25 s, limit 1,000 ms") == "took # s, limit # ms")
        #expect(pattern("at 0x7fff1234\n  in worker-12") == "at # in worker-#")
        #expect(pattern("user42 cannot read sha256 of \"x y\"") == "user# cannot read sha# of \"…\"")
        #expect(pattern("it doesn't work, isn't it") == "it doesn't work, isn't it")
        #expect(pattern("") == "")
        #expect(pattern(String(repeating: "ä", count: 5000)).utf8.count < 1000)
    }

    @Test("At most 200 groups of errors are kept apart")
    func manyGroups() {
        var patterns = ErrorPatterns()
        func words(_ number: Int) -> String {
            String(number).utf8.map { String(UnicodeScalar($0 + 0x40 + 1)) }.joined()
        }
        let numbers = (0..<300).map { patterns.number(type: "broken", message: words($0)) }
        #expect(Set(numbers.prefix(200)).count == 200)
        #expect(numbers.dropFirst(200).allSatisfy { $0 == ErrorPatterns.other })
        #expect(patterns.number(type: "broken", message: words(5)) == numbers[5])
        #expect(patterns.mayHave("broken", ErrorPatterns.other) && !patterns.mayHave("else", numbers[0]))
    }
}
