import SheafCore
import SheafFlows
import Synchronization
import Testing

/// The contract of flows that give many tasks to a provider as one job, with a provider that answers as the tests say.
@Suite("Bulk flows", .timeLimit(.minutes(2))) struct BulkFlowTests {
    /// A provider of jobs: each has a key and the ids of its requests, and gets results one by one.
    private actor Provider {
        struct Job {
            var ids: [String]
            var results: [(id: String, result: Result<FlowOutput, FlowError>)] = []
            var isOver = false
            var isCancelled = false
        }

        private(set) var jobs: [String: Job] = [:]
        private(set) var submissions = 0

        func submit(_ ids: [String], key: String) {
            submissions += 1
            jobs[key] = Job(ids: ids)
        }

        func answer(_ id: String, _ result: Result<FlowOutput, FlowError>, key: String = "job-1") {
            jobs[key]?.results.append((id, result))
        }

        func end(key: String = "job-1") { jobs[key]?.isOver = true }
        func cancel(key: String) { jobs[key]?.isCancelled = true }
        func job(_ key: String) -> Job? { jobs[key] }
    }

    /// Speaks with the provider as the documentation of ``BulkFlow`` asks for.
    private struct ProviderFlow: BulkFlow {
        let provider: Provider
        let maximumTasks = 100
        var key = "job-1"

        func run(
            _ tasks: [FlowTask],
            resuming memo: BulkMemo?,
            remember: @Sendable (BulkMemo) async throws -> Void,
            ended: @Sendable (Int, Result<FlowOutput, FlowError>) async -> Void
        ) async throws {
            let key = memo?.json?["key"]?.stringValue ?? key
            if memo == nil { try await remember(BulkMemo(["key": .string(key)])) }
            if await provider.job(key) == nil {
                await provider.submit(tasks.map(\.id), key: key)
                try await remember(BulkMemo(["key": .string(key), "job": "1"]))
            }
            let positions = Dictionary(uniqueKeysWithValues: tasks.enumerated().map { ($1.id, $0) })
            var seen = 0
            while let job = await provider.job(key) {
                for (id, result) in job.results[seen...] {
                    if let position = positions[id] { await ended(position, result) }
                }
                seen = job.results.count
                if job.isOver { return }
                try await Task.sleep(for: .milliseconds(2))
            }
        }

        func discard(_ memo: BulkMemo) async {
            if let key = memo.json?["key"]?.stringValue { await provider.cancel(key: key) }
        }
    }

    /// A flow that runs a closure.
    private struct ClosureFlow: BulkFlow {
        typealias Remember = @Sendable (BulkMemo) async throws -> Void
        typealias Ended = @Sendable (Int, Result<FlowOutput, FlowError>) async -> Void

        let maximumTasks = 10
        let body: @Sendable ([FlowTask], Remember, Ended) async throws -> Void

        func run(
            _ tasks: [FlowTask],
            resuming memo: BulkMemo?,
            remember: Remember,
            ended: Ended
        ) async throws {
            try await withoutActuallyEscaping(remember) { remember in
                try await withoutActuallyEscaping(ended) { ended in try await body(tasks, remember, ended) }
            }
        }

        func discard(_ memo: BulkMemo) async {}
    }

    /// Keeps what a worker would: the lease's memo and the results.
    private final class Worker: Sendable {
        let memo = Mutex<BulkMemo?>(nil)
        let results = Mutex<[Int: [AttemptResult]]>([:])

        var reported: [Int: [AttemptResult]] { results.withLock { $0 } }

        func run(_ flow: any Flow, _ tasks: [FlowTask], timeout: Duration? = nil) async throws -> [Int] {
            let definition = FlowDefinition(
                name: Name("f"),
                flow: flow,
                timeout: timeout,
                parameters: ["lang": "en"]
            )
            let end = await definition.attempt(bulk: BulkTasks(tasks), resuming: memo.withLock { $0 }) { memo in
                self.memo.withLock { $0 = memo }
            } ended: { position, result in
                self.results.withLock { $0[tasks[position].index, default: []].append(result) }
            }
            return end.rest
        }
    }

    private static let failure = FlowError(type: "mine", message: "no")

    private func tasks(_ indices: Range<Int>) throws -> [FlowTask] {
        try indices.map { try FlowFixtures.task(json: "{}", index: $0) }
    }

    private func until(_ isTrue: () async -> Bool) async throws {
        while !(await isTrue()) { try await Task.sleep(for: .milliseconds(1)) }
    }

    @Test("Each task is reported once, as soon as its result is there and in any order")
    func reports() async throws {
        let (provider, worker, tasks) = (Provider(), Worker(), try tasks(0..<3))
        let running = Task { try await worker.run(ProviderFlow(provider: provider), tasks) }
        try await until { await provider.job("job-1") != nil }
        await provider.answer(tasks[2].id, .success(.text("c")))
        await provider.answer(tasks[2].id, .success(.text("again")))
        try await until { worker.reported.count == 1 }
        #expect(worker.reported == [2: [.success(.text("c"))]])
        await provider.answer(tasks[0].id, .failure(Self.failure))
        await provider.answer("b1:99", .success(.text("not ours")))
        await provider.answer(tasks[1].id, .success(.text("b")))
        await provider.end()
        #expect(try await running.value == [])
        #expect(
            worker.reported == [2: [.success(.text("c"))], 0: [.failure(Self.failure)], 1: [.success(.text("b"))]]
        )
    }

    @Test("A worker that takes over re-attaches to the job with the tasks that have no outcome")
    func reattaches() async throws {
        let (provider, worker, tasks) = (Provider(), Worker(), try tasks(0..<3))
        let running = Task { try await worker.run(ProviderFlow(provider: provider), tasks) }
        try await until { await provider.job("job-1") != nil }
        await provider.answer(tasks[1].id, .success(.text("b")))
        try await until { worker.reported.count == 1 }
        running.cancel()
        #expect(try await running.value == [0, 2], "the rest is without a result")
        #expect(await provider.job("job-1")?.isCancelled == false, "a worker that leaves does not end the job")

        await provider.answer(tasks[0].id, .success(.text("a")))
        await provider.answer(tasks[2].id, .success(.text("c")))
        await provider.end()
        let rest = [tasks[2], tasks[0]]
        #expect(try await worker.run(ProviderFlow(provider: provider, key: "job-2"), rest) == [])
        #expect(
            worker.reported
                == [0: [.success(.text("a"))], 1: [.success(.text("b"))], 2: [.success(.text("c"))]]
        )
        #expect(await provider.submissions == 1)
    }

    @Test("A job that was announced but never submitted is submitted under the same key")
    func submitsAnnouncedJob() async throws {
        let (provider, worker, tasks) = (Provider(), Worker(), try tasks(0..<1))
        let memo = try BulkMemo(["key": "job-0"])
        worker.memo.withLock { $0 = memo }
        let running = Task { try await worker.run(ProviderFlow(provider: provider), tasks) }
        try await until { await provider.job("job-0") != nil }
        await provider.answer(tasks[0].id, .success(.text("a")), key: "job-0")
        await provider.end(key: "job-0")
        #expect(try await running.value == [])
        #expect(worker.reported == [0: [.success(.text("a"))]])
        #expect(worker.memo.withLock { $0?.json?["job"] } == "1")
    }

    @Test("A job that takes too long is discarded, and its open tasks fail")
    func timeout() async throws {
        let (provider, worker, tasks) = (Provider(), Worker(), try tasks(0..<2))
        let running = Task {
            try await worker.run(ProviderFlow(provider: provider), tasks, timeout: .milliseconds(500))
        }
        try await until { await provider.job("job-1") != nil }
        await provider.answer(tasks[0].id, .success(.text("a")))
        #expect(try await running.value == [])
        let overdue = FlowError(type: FlowError.timeoutType, message: "ran longer than 500 ms", isRetryable: true)
        #expect(worker.reported == [0: [.success(.text("a"))], 1: [.failure(overdue)]])
        #expect(await provider.job("job-1")?.isCancelled == true)
    }

    @Test("What ends the run is the result of each task without a report")
    func runFailures() async throws {
        let throttle = FlowThrottle(delay: .seconds(1), message: "429")
        let noResult = FlowError(type: FlowError.noResultType, message: "the flow ended without a result for the task")
        for (error, expected) in [
            (Self.failure, .failure(Self.failure)), (throttle, .throttled(throttle)), (nil, .failure(noResult)),
        ] as [((any Error)?, AttemptResult)] {
            let worker = Worker()
            let flow = ClosureFlow { tasks, _, ended in
                await ended(1, .success(.value(tasks[1].parameters)))
                await ended(1, .failure(Self.failure))
                await ended(7, .failure(Self.failure))
                if let error { throw error }
            }
            #expect(try await worker.run(flow, tasks(0..<3)) == [])
            #expect(
                worker.reported == [0: [expected], 1: [.success(.value(["lang": "en"]))], 2: [expected]]
            )
        }
    }

    @Test("Tasks whose memo cannot be stored get no result, since another worker may have them")
    func lostLease() async throws {
        struct Lost: Error {}
        let definition = FlowDefinition(name: try FlowFixtures.name("f"), flow: ProviderFlow(provider: Provider()))
        let end = await definition.attempt(bulk: BulkTasks(try tasks(0..<2)), resuming: nil) { _ in
            throw Lost()
        } ended: { _, _ in
            Issue.record("reported")
        }
        #expect(end == BulkEnd(rest: [0, 1]))
    }

    @Test("A memo has at most 4 KiB")
    func memoSize() throws {
        #expect(try BulkMemo(Array(repeating: 0, count: 4_096)).json == nil)
        #expect(try BulkMemo(["job": "j"]).json == ["job": "j"])
        let error = try #require(throws: FlowError.self) { try BulkMemo(Array(repeating: 0, count: 4_097)) }
        #expect(error.type == "memo-too-large" && !error.isRetryable)
    }

    @Test("A single task is a job of its own, which a cancel discards")
    func single() async throws {
        let (provider, task) = (Provider(), try FlowFixtures.task(json: "{}", index: 0))
        let flow = ProviderFlow(provider: provider)
        let running = Task { try await flow.run(task) }
        try await until { await provider.job("job-1") != nil }
        await provider.answer(task.id, .success(.text("a")))
        await provider.end()
        #expect(try await running.value == .text("a"))

        let other = Task { try await ProviderFlow(provider: provider, key: "job-2").run(task) }
        try await until { await provider.job("job-2") != nil }
        other.cancel()
        await #expect(throws: CancellationError.self) { try await other.value }
        #expect(await provider.job("job-2")?.isCancelled == true)
    }

    @Test("Another flow gets one task after the other")
    func otherFlow() async throws {
        let worker = Worker()
        #expect(try await worker.run(EchoFlow(), tasks(0..<2)) == [])
        #expect(worker.reported == [0: [.success(.json(Array("{}".utf8)))], 1: [.success(.json(Array("{}".utf8)))]])
    }
}
