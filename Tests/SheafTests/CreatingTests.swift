import SheafBroker
import SheafCore
import SheafSources
import SheafTestSupport
import SheafTesting
import Synchronization
import Testing

@testable import SheafBatches
@testable import SheafWorker

/// Creations that are interrupted or delayed.
@Suite("Creating batches") struct CreatingTests {
    /// Items that arrive when the test provides them.
    private func items() -> (
        stream: AsyncStream<[SourceItem]>, give: @Sendable (Range<Int>) -> Void, end: @Sendable () -> Void
    ) {
        let (stream, continuation) = AsyncStream<[SourceItem]>.makeStream()
        return (
            stream,
            { range in
                continuation.yield(
                    range.map { number in
                        let record = Record(id: "r\(number)", kind: .json, bytes: Array("\(number)".utf8))
                        return SourceItem(index: number, place: record.id, content: .record(record))
                    }
                )
            },
            { continuation.finish() }
        )
    }

    /// Waits until a condition holds, within the time limit of the test.
    private func until(_ condition: () async throws -> Bool) async throws {
        while try await !condition() { try await Task.sleep(for: .milliseconds(5)) }
    }

    private func on(_ kind: BrokerKind, _ body: @escaping @Sendable (SheafClient, LosableBroker) async throws -> Void)
        async throws
    {
        try await Stage.with(kind) { stage in
            try await stage.client { inner in
                let broker = LosableBroker(inner.broker)
                try await body(try await SheafClient(broker: broker, namespace: stage.namespace), broker)
            }
        }
    }

    @Test("Confirmed tasks are recorded while the input yields nothing", arguments: BrokerKind.allCases)
    func confirmationsAreCollectedWhileTheInputIsSilent(kind: BrokerKind) async throws {
        try await on(kind) { client, _ in
            let (stream, give, end) = items()
            let plan = try plan { $0.id = Name("b") }
            async let created = client.create(plan, from: stream)
            give(0..<3)
            let id = Name("b")
            try await until { (try? await client.infoToResume("b").published) == 3 }
            give(3..<5)
            try await until { (try? await client.infoToResume("b").published) == 5 }
            #expect(try await client.batch("b").info.sealedTotal == nil)
            end()
            #expect(try await created == CreatedBatch(id: id, flow: plan.flow, total: 5))
        }
    }

    @Test("A creator takes its lost lock again", arguments: BrokerKind.allCases)
    func aLostLockIsTakenAgain(kind: BrokerKind) async throws {
        try await on(kind) { client, broker in
            let (stream, give, end) = items()
            let plan = try plan { $0.id = Name("b") }
            async let created = client.create(plan, from: stream)
            give(0..<3)
            try await until { (try? await client.infoToResume("b").published) == 3 }
            await broker.loseLock()
            let name = client.names.creatingLock(batch: Name("b"))
            // Also while the input yields nothing.
            try await until { try await broker.isLocked(name) }
            give(3..<5)
            end()
            #expect(try await created.total == 5)
        }
    }

    @Test("A creation ends if another creator has taken its lock", arguments: BrokerKind.allCases)
    func aLockLostToSomebodyElseEndsTheCreation(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            try await stage.client { inner in
                let broker = LosableBroker(inner.broker)
                let client = try await SheafClient(broker: broker, namespace: stage.namespace)
                let (stream, give, end) = items()
                let plan = try plan {
                    $0.id = Name("b")
                    $0.publishTimeout = .seconds(5)
                }
                let creation = Task { try await client.create(plan, from: stream) }
                give(0..<3)
                try await until { (try? await client.infoToResume("b").published) == 3 }
                try await stage.client { other in
                    let name = client.names.creatingLock(batch: Name("b"))
                    broker.beLate()
                    await broker.loseLock()
                    let lock = try #require(try await Self.take(name, on: other.broker))
                    give(3..<5)
                    let error = await #expect(throws: SheafError.self) { _ = try await creation.value }
                    #expect(error?.code == .alreadyExists && error?.message.contains("another creator") == true)
                    #expect(broker.published == 3, "nothing was published without the lock")
                    await lock.release()
                }
                end()
            }
        }
    }

    /// Competes for a lock that is about to be lost.
    private static func take(_ name: String, on broker: any Broker) async throws -> (any BrokerLock)? {
        let deadline = ContinuousClock.now + .seconds(5)
        while .now < deadline {
            if let lock = try await broker.acquireLock(name) { return lock }
        }
        return nil
    }

    @Test("A creation waits for a blocked broker", arguments: BrokerKind.allCases)
    func aBlockedBrokerIsWaitedFor(kind: BrokerKind) async throws {
        try await on(kind) { client, broker in
            let (stream, give, end) = items()
            let stalls = Mutex<[PublishingStall?]>([])
            let events = CreationEvents(onStall: { stall in stalls.withLock { $0.append(stall) } })
            async let created = client.create(try plan(), from: stream, events: events)
            give(0..<3)
            try await until { broker.published == 3 }
            broker.block(true)
            give(3..<5)
            try await until { stalls.withLock { $0.count } == 1 }
            broker.block(false)
            end()
            #expect(try await created.total == 5)
            let told = stalls.withLock { $0 }
            #expect(told.count == 2)
            #expect(told.first??.reason.contains("low on patience") == true)
            #expect(told.last == .some(nil))
        }
    }

    @Test("A creation fails if the broker stays blocked", arguments: BrokerKind.allCases)
    func aBrokerThatStaysBlockedIsGivenUp(kind: BrokerKind) async throws {
        try await on(kind) { client, broker in
            let (stream, give, end) = items()
            let plan = try plan {
                $0.id = Name("b")
                $0.publishTimeout = .seconds(5)
            }
            let creation = Task { try await client.create(plan, from: stream) }
            give(0..<3)
            try await until { broker.published == 3 }
            broker.block(true)
            give(3..<5)
            let error = await #expect(throws: BrokerError.self) { _ = try await creation.value }
            #expect(error?.code == .blocked)
            end()
            broker.block(false)
            let trace = TraceContext(traceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
            let resumed = try await client.resume(Name("b"), trace: trace) { position in
                let (rest, give, end) = items()
                give(position..<5)
                end()
                return rest
            }
            #expect(resumed.total == 5)
            let start = try #require(resumed.resumedAt)
            #expect((0...3).contains(start))
            var traces: [Int: TraceContext?] = [:]
            let queue = client.names.tasks(flow: resumed.flow, batch: resumed.id, generation: 0)
            while let delivery = try await client.broker.get(queue) {
                let task = try BatchTask(delivery.message)
                traces[task.index] = task.trace
                try await client.broker.settle(delivery, as: .acknowledged)
            }
            #expect(traces[3] == trace && traces[4] == trace, "tasks of the resumption carry its context")
        }
    }

    @Test("A creation that fails before its journal entry leaves no queues or logs", arguments: BrokerKind.allCases)
    func aCreationThatFailsBeforeItsEntryLeavesNothing(kind: BrokerKind) async throws {
        try await on(kind) { client, broker in
            let batch = Name("b")
            let plan = try plan {
                $0.id = batch
                $0.options.maxRunning = 2
                $0.publishTimeout = .seconds(5)
            }
            let stream = AsyncStream<[SourceItem]> { continuation in
                let record = Record(id: "r", kind: .json, bytes: Array("1".utf8))
                continuation.yield([SourceItem(index: 0, place: "r", content: .record(record))])
                continuation.finish()
            }
            // The permits cannot be published.
            broker.block(true)
            let error = await #expect(throws: BrokerError.self) { _ = try await client.create(plan, from: stream) }
            #expect(error?.code == .blocked)
            broker.block(false)
            let names = client.names
            for queue in [
                names.tasks(flow: plan.flow, batch: batch, generation: 0), names.permits(batch: batch, generation: 0),
            ] {
                #expect(try await broker.queueStatus(queue) == nil)
            }
            #expect(try await broker.endOffset(of: names.results(batch: batch)) == nil)
            #expect(try await client.create(plan, records: records(2)).total == 2)
        }
    }

    @Test("The queues that a killed creator left are emptied and used", arguments: BrokerKind.allCases)
    func whatAKilledCreatorHasLeftIsUsedAgain(kind: BrokerKind) async throws {
        try await on(kind) { client, broker in
            let batch = Name("b")
            let plan = try plan {
                $0.id = batch
                $0.options.maxRunning = 2
            }
            let (queue, permits) = (
                client.names.tasks(flow: plan.flow, batch: batch, generation: 0),
                client.names.permits(batch: batch, generation: 0)
            )
            try await broker.declareLog(LogDeclaration(name: client.names.results(batch: batch)))
            try await broker.declareQueue(.suspects(of: plan.flow, client.names))
            try await broker.declareQueue(.tasks(of: batch, flow: plan.flow, generation: 0, client.names))
            try await broker.declareQueue(QueueDeclaration(name: permits, kind: .tokens()))
            try await broker.publish([Message(id: "0", type: "permit")], to: permits)
            try await broker.publish([Message(id: "old")], to: queue)
            #expect(try await client.create(plan, records: records(5)).total == 5)
            #expect(try await broker.queueStatus(queue)?.ready == 5)
            #expect(try await broker.queueStatus(permits)?.ready == 2)
        }
    }

    @Test("The creation of a batch that is over cannot be resumed", arguments: BrokerKind.allCases)
    func aBatchThatIsOverIsNotResumed(kind: BrokerKind) async throws {
        try await on(kind) { client, _ in
            let plan = try plan { $0.id = Name("b") }
            let created = try await client.create(plan, records: records(2))
            let again = try await client.resume(created.id) { _ in items().stream }
            #expect(again == created)
            try await client.cancel("b")
            let error = await #expect(throws: SheafError.self) {
                _ = try await client.resume(created.id) { _ in items().stream }
            }
            #expect(error?.code == .cancelled)
            let missing = await #expect(throws: SheafError.self) { _ = try await client.infoToResume("nosuch") }
            #expect(missing?.code == .notFound)
        }
    }
}
