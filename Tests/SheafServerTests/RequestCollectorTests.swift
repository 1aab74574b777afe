import Sheaf
import SheafCore
import SheafDispatch
import SheafTestSupport
import Testing

@testable import SheafServer

@Suite("Collecting requests") struct RequestCollectorTests {
    /// A queue whose additions wait until they are allowed, and are counted.
    private actor GatedQueue: RequestQueue {
        nonisolated let name: Name = "gated"
        private(set) var additions: [[String]] = []
        private var gate: CheckedContinuation<Void, Never>?
        private var isOpen = false

        func open() {
            isOpen = true
            gate?.resume()
            gate = nil
        }

        func add(_ requests: [Record]) async throws {
            additions.append(requests.map(\.id))
            if !isOpen { await withCheckedContinuation { gate = $0 } }
            if requests.contains(where: { $0.id == "bad" }) { throw RequestQueueError(.invalid, "bad") }
        }

        func waiting() -> WaitingRequests { WaitingRequests() }
        func flush() {}
        func update() {}
        func claim(_ rules: DispatchRules, at now: Timestamp) -> RequestGroup? { nil }
        func finish(_ group: RequestGroup) {}
        func changes() -> AsyncStream<Void> { AsyncStream { $0.finish() } }
        func close() {}
        func requests(
            of group: RequestGroup,
            from position: Int
        ) -> AsyncThrowingStream<[SourceItem], any Error> { AsyncThrowingStream { $0.finish() } }
    }

    private static func request(_ id: String, _ text: String = "{}") -> Record {
        Record(id: id, kind: .json, bytes: Array(text.utf8))
    }

    @Test("Requests that come while others are stored are stored together, and a conflict harms its own sender only")
    func together() async throws {
        let queue = GatedQueue()
        let collector = RequestCollector(queue: queue)
        try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask { try await collector.add([Self.request("first")], isNamed: true) }
            try await until("the first is being stored") { await queue.additions.count == 1 }
            for number in 0..<40 {
                group.addTask { try await collector.add([Self.request("r\(number)")], isNamed: true) }
            }
            try await until("the others wait") { await collector.waiting == 40 }
            let conflict = Task { try await collector.add([Self.request("r7", "[]")], isNamed: true) }
            let same = Task { try await collector.add([Self.request("r7")], isNamed: true) }
            try await until("these, too") { await collector.waiting == 42 }
            await queue.open()
            for try await isRepeat in group { #expect(!isRepeat) }
            await #expect(throws: RequestConflict.self) { try await conflict.value }
            #expect(try await same.value)
        }
        let additions = await queue.additions
        #expect(additions.count == 2 && additions[0] == ["first"])
        #expect(Set(additions[1]) == Set((0..<40).map { "r\($0)" }) && additions[1].count == 40)
    }

    @Test("A failed addition is reported to all who were part of it, and the next one works")
    func failure() async throws {
        let queue = GatedQueue()
        let collector = RequestCollector(queue: queue)
        await queue.open()
        await #expect(throws: RequestQueueError.self) {
            try await collector.add([Self.request("bad")], isNamed: false)
        }
        #expect(try await !collector.add([Self.request("good")], isNamed: false))
    }
}
