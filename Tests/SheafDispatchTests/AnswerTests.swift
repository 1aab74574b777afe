import Sheaf
import SheafBroker
import SheafCore
import SheafTestSupport
import Testing

@testable import SheafBatches
@testable import SheafDispatch

@Suite("Answers of requests")
struct AnswerTests {
    /// Runs the body with a queue, and with answers on a connection of their own.
    private static func with(
        _ kind: BrokerKind,
        _ change: @escaping @Sendable (inout BrokerRequestQueueConfiguration) -> Void = { _ in },
        _ body: @escaping @Sendable (Scene, SheafClient, BrokerRequestQueue, RequestAnswers) async throws -> Void
    ) async throws {
        try await Stage.with(kind) { stage in
            var made = Scene(stage: stage)
            change(&made.configuration)
            let scene = made
            try await stage.client { client in
                try await scene.queue(client) { queue in
                    try await stage.client { other in
                        try await scene.queue(other) { observer in
                            let answers = RequestAnswers(client: other, queue: observer)
                            try await body(scene, client, queue, answers)
                            await answers.close()
                        }
                    }
                }
            }
        }
    }

    private static func dispatch(
        _ scene: Scene,
        _ client: SheafClient,
        _ queue: BrokerRequestQueue
    ) async throws -> [CreatedBatch] {
        try await queue.flush()
        try await queue.update()
        return try await scene.dispatcher(client, queue, rules: DispatchRules()).look()
    }

    @Test("An answer is awaited from before the dispatch until the task has ended", arguments: BrokerKind.allCases)
    func awaited(kind: BrokerKind) async throws {
        try await Self.with(kind) { scene, client, queue, answers in
            try await queue.add(requests(0..<20))
            #expect(try await answers.find("r7") == .waiting)
            #expect(try await answers.wait(for: "r7", atMost: .milliseconds(1)) == .waiting)
            try await withThrowingTaskGroup(of: (String, RequestAnswer?).self) { group in
                for number in 0..<20 {
                    group.addTask { ("r\(number)", try await answers.wait(for: "r\(number)", atMost: .seconds(60))) }
                }
                let batch = try #require(try await Self.dispatch(scene, client, queue).first)
                try await client.runByHand(batch) { $0.index == 3 ? .failed : .succeeded }
                for try await (id, answer) in group {
                    guard case .ended(batch.id, let outcome)? = answer else {
                        Issue.record("\(id): \(String(describing: answer))")
                        continue
                    }
                    #expect(outcome.recordID == id && outcome.status == (outcome.index == 3 ? .failed : .succeeded))
                }
            }
            #expect(try await answers.find("r3")?.outcome?.error?.message == "on purpose")
            #expect(try await answers.find("nothing") == nil)
        }
    }

    @Test("The queue in memory says where its requests are, and the answers are found in the batches")
    func memory() async throws {
        try await Stage.with(.embedded) { stage in
            try await stage.client { client in
                let queue = MemoryRequestQueue(name: Scene.name)
                let answers = RequestAnswers(client: client, queue: queue)
                try await queue.add(requests(0..<2))
                #expect(try await answers.find("r1") == .waiting)
                async let answer = answers.wait(for: "r1", atMost: .seconds(60))
                await queue.flush()
                let batch = try #require(try await Scene(stage: stage).dispatcher(client, queue).look().first)
                try await client.runByHand(batch)
                // The queue forgets a request once its batch is confirmed.
                #expect(try await answers.find("r1")?.outcome?.recordID == "r1")
                _ = try await answer
                await answers.close()
            }
        }
    }

    @Test("A request of a cancelled batch is cancelled, and a retried one waits again", arguments: BrokerKind.allCases)
    func cancelled(kind: BrokerKind) async throws {
        try await Self.with(kind) { scene, client, queue, answers in
            let directory = try await BatchDirectory(client: client)
            let following = Task { try await directory.run() }
            defer { following.cancel() }
            try await queue.add(requests(0..<2))
            let batch = try #require(try await Self.dispatch(scene, client, queue).first)
            try await client.runByHand(batch, atMost: 1) { _ in .failed }
            async let first = answers.wait(for: "r1", atMost: .seconds(60))
            try await client.cancel(batch.id.text)
            #expect(try await first == .cancelled(batch: batch.id))
            #expect(try await answers.find("r0")?.outcome?.status == .failed)

            try await queue.add(requests(2..<3))
            let second = try #require(try await Self.dispatch(scene, client, queue).first)
            try await client.runByHand(second) { _ in .failed }
            #expect(try await answers.wait(for: "r2", atMost: .seconds(60))?.outcome?.status == .failed)
            _ = try await client.wait(for: second.id.text)
            _ = try await client.retry(second.id.text)
            async let again = answers.wait(for: "r2", atMost: .seconds(60))
            try await client.runByHand(second, generation: 1)
            // The old answer counts until the journal has the retry.
            _ = try await again
            try await until("the retry is the answer") {
                try await answers.find("r2")?.outcome?.status == .succeeded
            }
        }
    }

    @Test("Another request with the same id does not become the answer of the first", arguments: BrokerKind.allCases)
    func conflict(kind: BrokerKind) async throws {
        try await Self.with(kind) { scene, client, queue, answers in
            let other = Record(id: "r0", kind: .json, bytes: Array("{}".utf8))
            try await queue.add(requests(0..<2) + [other])
            #expect(try await queue.repeats(of: requests(0..<1) + [other] + requests(5..<6)) == [.same, .other, .new])
            let batch = try #require(try await Self.dispatch(scene, client, queue).first)
            #expect(batch.total == 3 && batch.invalid == 1)
            #expect(try await answers.find("r0") == .dispatched(batch: batch.id))
            try await client.runByHand(batch)
            #expect(try await answers.find("r0")?.outcome?.index == 0)
        }
    }

    @Test("An answer is found after the logs with its request are deleted")
    func deletedLogs() async throws {
        try await Self.with(.embedded) { configuration in
            configuration.logCount = 10
            configuration.window = 10
            configuration.deletionInterval = .zero
        } _: { scene, client, queue, answers in
            let directory = try await BatchDirectory(client: client)
            let following = Task { try await directory.run() }
            defer { following.cancel() }
            for start in stride(from: 0, to: 60, by: 10) {
                try await queue.add(requests(start..<start + 10))
                let batch = try #require(try await Self.dispatch(scene, client, queue).first)
                try await client.runByHand(batch)
                _ = try await client.wait(for: batch.id.text)
            }
            let oldest = await queue.state.oldest
            #expect(oldest > 1, "logs are deleted")
            for id in ["r0", "r31", "r59"] { #expect(try await answers.find(id)?.outcome?.recordID == id) }
            #expect(try await answers.find("r60") == nil)
        }
    }

    @Test("A queue that observes knows what waits while others dispatch", arguments: BrokerKind.allCases)
    func observing(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            var made = Scene(stage: stage)
            made.configuration.key = "k"
            let scene = made
            try await stage.client { client in
                try await scene.queue(client) { queue in
                    try await scene.queue(client) { observer in
                        var counts: Set<Int> = []
                        for round in 0..<5 {
                            let added = (0..<10).map { number in
                                Record(
                                    id: "\(round).\(number)",
                                    kind: .json,
                                    bytes: Array(#"{"k":\#(number % 3)}"#.utf8)
                                )
                            }
                            try await observer.add(added)
                            try await queue.update()
                            try await scene.dispatcher(client, queue, rules: DispatchRules(queueThreshold: 4)).look()
                            let expected = try await queue.waiting()
                            counts.insert(expected.count)
                            #expect(try await observer.waiting() == expected)
                        }
                        #expect(counts.count > 2, "batches take some of what waits")
                        let scans = await observer.scans
                        #expect(scans == 1, "it reads each request once")
                    }
                }
            }
        }
    }
}
