import Sheaf
import SheafBroker
import SheafCore
import SheafTestSupport
import SheafTesting
import Synchronization
import Testing

@Suite("Live view of batches") struct BatchDirectoryTests {
    @Test("Looking at a directory adds no entry to any log", arguments: BrokerKind.allCases)
    func lookingWritesNothing(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            try await stage.client { client in
                let batch = try await client.create(plan { $0.options.isInteractive = true }, records: records(10))
                try await client.runByHand(batch, atMost: 4)
                let names = client.names
                let others = [names.journal, names.progress, names.heartbeats, names.dead]
                let logs = others + [names.results(batch: batch.id)]
                try await client.holdingDirectory(isAggregating: false) { directory in
                    try await until("the batch is listed") { directory.snapshot.map(\.info.id) == [batch.id] }
                    var before: [Int64] = []
                    var steps: [Int64] = []
                    for log in logs {
                        let first = try #require(try await client.broker.endOffset(of: log))
                        let second = try #require(try await client.broker.endOffset(of: log))
                        before.append(second)
                        steps.append(second - first)  // 1 where asking for the end appends a mark
                    }
                    for _ in 0..<200 {
                        #expect(directory.snapshot.count == 1)
                        #expect(try directory.summary(of: "last").info.id == batch.id)
                        for await _ in directory.changes() { break }
                        try await Task.sleep(for: .milliseconds(15))
                    }
                    for (place, log) in logs.enumerated() {
                        let after = try #require(try await client.broker.endOffset(of: log))
                        #expect(after - before[place] == steps[place], "log \(log)")
                    }
                }
            }
        }
    }

    @Test("A directory follows batches from their creation to their deletion", arguments: BrokerKind.allCases)
    func wholeLife(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            try await stage.client { client in
                try await client.holdingDirectory { directory in
                    #expect(directory.snapshot.isEmpty)
                    #expect(throws: SheafError.self) { try directory.summary(of: "last") }
                    let (seen, reading) = Self.collect(directory)
                    defer { reading.cancel() }

                    let batch = try await client.create(plan(), records: records(10))
                    func summary() -> BatchSummary? { try? directory.summary(of: batch.id.text) }
                    try await until("it is sealed") { summary()?.isSealed == true && summary()?.total == 10 }
                    try await client.runByHand(batch, atMost: 6) { $0.index < 2 ? .failed : .succeeded }
                    try await until("outcomes are counted") {
                        summary()?.counts == BatchCounts(pending: 4, succeeded: 4, failed: 2)
                    }
                    #expect(summary()?.status == .processing)
                    try await client.runByHand(batch)
                    try await until("it ends") { summary()?.status == .completed }
                    #expect(summary()?.counts == BatchCounts(succeeded: 8, failed: 2))

                    try await client.retry(batch.id.text)
                    try await until("it is open again") {
                        summary()?.counts == BatchCounts(pending: 2, succeeded: 8)
                    }
                    try await client.runByHand(batch, generation: 1)
                    try await until("it ends again") { summary()?.counts == BatchCounts(succeeded: 10) }
                    #expect(directory.snapshot == [try directory.summary(of: "last")])

                    try await client.delete(batch.id.text)
                    try await until("it is gone") { directory.snapshot.isEmpty }
                    let error = #expect(throws: SheafError.self) { try directory.summary(of: batch.id.text) }
                    #expect(error?.code == .notFound)
                    try await until("the changes were reported") {
                        seen.withLock { $0.contains(.processing) && $0.contains(.completed) && $0.last == .some(nil) }
                    }
                }
            }
        }
    }

    @Test("A directory that only looks shows what another aggregator counts", arguments: BrokerKind.allCases)
    func onlyLooking(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            try await stage.client { client in
                let batch = try await client.create(plan(), records: records(5))
                try await client.holdingDirectory(isAggregating: false) { directory in
                    func counts() throws -> BatchCounts { try directory.summary(of: batch.id.text).counts }
                    try await client.runByHand(batch, atMost: 3)
                    try await Task.sleep(for: .seconds(2))
                    #expect(try counts() == BatchCounts(pending: 5))
                    try await stage.client { other in
                        try await other.holdingDirectory { _ in
                            try await until("the outcomes are counted") {
                                try counts() == BatchCounts(pending: 2, succeeded: 3)
                            }
                        }
                    }
                }
            }
        }
    }

    @Test("A directory shows what live workers run, until they fall silent", arguments: BrokerKind.allCases)
    func heartbeats(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            try await stage.client { client in
                let batch = try await client.create(plan(), records: records(5))
                try await client.holdingDirectory { directory in
                    func running() throws -> Int { try directory.summary(of: batch.id.text).counts.running }
                    let heartbeat = Heartbeat(worker: "w1", running: [batch.id: [1, 2]])
                    try await until("two tasks run") {
                        // Sent repeatedly, because a slow machine may take longer than the lifetime of one heartbeat.
                        try await client.broker.append(heartbeat.message, to: client.names.heartbeats)
                        try await Task.sleep(for: .milliseconds(300))
                        return try running() == 2
                    }
                    try await until("the worker is silent") { try running() == 0 }
                }
            }
        }
    }

    @Test("A directory goes on after its connection was lost", arguments: BrokerKind.allCases)
    func reconnecting(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            try await stage.client { client in
                let cut = CutBroker(client.broker)
                let other = try await SheafClient(broker: cut, namespace: stage.namespace)
                let batch = try await client.create(plan(), records: records(5))
                try await other.holdingDirectory { directory in
                    func counts() throws -> BatchCounts { try directory.summary(of: batch.id.text).counts }
                    for index in 1...3 {
                        cut.cut()
                        try await client.runByHand(batch, atMost: 1)
                        try await until("outcome \(index) is counted") {
                            try counts() == BatchCounts(pending: 5 - index, succeeded: index)
                        }
                    }
                }
            }
        }
    }

    @Test("A directory is right after the progress log was trimmed")
    func trimmedProgress() async throws {
        try await Stage.with(.embedded) { stage in
            try await stage.client { client in
                let batch = try await client.create(plan(), records: records(500))
                let cut = CutBroker(client.broker)
                let other = try await SheafClient(broker: cut, namespace: stage.namespace)
                try await other.holdingDirectory(isAggregating: false) { directory in
                    func succeeded() throws -> Int { try directory.summary(of: batch.id.text).counts.succeeded }
                    let state = BatchState()
                    func report(_ count: Int) async throws {
                        var progress = BatchProgress(batch: batch.id, state: state, running: 0, offset: 0)
                        progress.settled.succeeded = count
                        let message = ProgressMessage(at: .now, batches: [progress]).message
                        try await client.broker.append(message, to: client.names.progress)
                    }
                    try await report(1)
                    try await until("the first report is read") { try succeeded() == 1 }
                    cut.hold(client.names.progress, true)
                    cut.cut()
                    // What the directory would read next is removed while it is away.
                    for count in 2..<400 { try await report(count) }
                    cut.skip(client.names.progress)
                    cut.hold(client.names.progress, false)
                    try await report(400)
                    try await until("the newest report is read") { try succeeded() == 400 }
                }
            }
        }
    }

    /// Collects the status of the newest batch at each change; nil if there is no batch.
    private static func collect(_ directory: BatchDirectory) -> (seen: Shared<[BatchStatus?]>, task: Task<Void, Never>)
    {
        let seen = Shared<[BatchStatus?]>([])
        let task = Task {
            for await _ in directory.changes() {
                let status = (try? directory.summary(of: "last"))?.status
                seen.withLock { $0.append(status) }
            }
        }
        return (seen, task)
    }
}

extension SheafClient {
    /// Runs a directory until the body returns.
    fileprivate func holdingDirectory(
        isAggregating: Bool = true,
        _ body: (BatchDirectory) async throws -> Void
    ) async throws {
        let directory = try await BatchDirectory(client: self, isAggregating: isAggregating)
        let following = Task { try await directory.run() }
        defer { following.cancel() }
        try await body(directory)
        following.cancel()
        // The stream of changes ends with the directory.
        for await _ in directory.changes() {}
        _ = await following.result
    }
}

/// A value that tests share between tasks.
private final class Shared<Value: Sendable>: Sendable {
    private let value: Mutex<Value>

    init(_ value: Value) { self.value = Mutex(value) }

    func withLock<Result: Sendable>(_ body: (inout sending Value) throws -> sending Result) rethrows -> Result {
        try value.withLock(body)
    }
}

/// A broker whose log readers can be cut off, as by a lost connection, and whose logs can seem trimmed.
private final class CutBroker: BrokerWrapper {
    private struct State {
        var cuts = 0
        var held: Set<String> = []
        var skipped: Set<String> = []
    }

    let inner: any Broker
    private let state = Mutex(State())

    init(_ inner: any Broker) { self.inner = inner }

    /// Ends all readers that are open.
    func cut() { state.withLock { $0.cuts += 1 } }

    /// Refuses to read a log while held.
    func hold(_ log: String, _ isHeld: Bool) {
        state.withLock { state in
            if isHeld { state.held.insert(log) } else { state.held.remove(log) }
        }
    }

    /// Has readers of a log begin at its newest entry, as if everything before were trimmed.
    func skip(_ log: String) { state.withLock { _ = $0.skipped.insert(log) } }

    func read(_ log: String, from position: LogPosition) async throws -> any LogReader {
        let (cuts, isHeld, isSkipped) = state.withLock {
            ($0.cuts, $0.held.contains(log), $0.skipped.contains(log))
        }
        if isHeld { throw BrokerError(.connectionLost, "the connection is cut") }
        let reader = try await inner.read(log, from: isSkipped ? .last : position)
        return CutReader(reader) { [weak self] in self?.state.withLock { $0.cuts } != cuts }
    }
}

/// A reader that throws as soon as it is cut off.
private struct CutReader: LogReader {
    private let inner: any LogReader
    private let isCut: @Sendable () -> Bool

    init(_ inner: any LogReader, isCut: @escaping @Sendable () -> Bool) {
        self.inner = inner
        self.isCut = isCut
    }

    func next() async throws -> LogChunk? {
        try await withThrowingTaskGroup(of: LogChunk?.self) { group in
            group.addTask { try await inner.next() }
            group.addTask {
                while !isCut() { try await Task.sleep(for: .milliseconds(10)) }
                throw BrokerError(.connectionLost, "the connection is cut")
            }
            defer { group.cancelAll() }
            return try await group.next() ?? nil
        }
    }

    func cancel() async { await inner.cancel() }
}
