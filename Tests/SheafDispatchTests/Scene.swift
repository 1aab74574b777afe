import Foundation
import Logging
import Sheaf
import SheafBroker
import SheafCore
import SheafTestSupport
import Synchronization
import Testing

@testable import SheafBatches
@testable import SheafDispatch

/// The queue and the dispatcher of a test.
struct Scene: Sendable {
    static let name: Name = "reviews"
    static let flow: Name = "echo"

    let stage: Stage
    var configuration = BrokerRequestQueueConfiguration()

    /// Runs the body with a queue of its own on a client.
    func queue<Result: Sendable>(
        _ client: SheafClient,
        _ body: (BrokerRequestQueue) async throws -> Result
    ) async throws -> Result {
        let queue = try await BrokerRequestQueue.open(client: client, name: Self.name, configuration: configuration)
        do {
            let result = try await body(queue)
            await queue.close()
            return result
        } catch {
            await queue.close()
            throw error
        }
    }

    func dispatcher(
        _ client: SheafClient,
        _ queue: any RequestQueue,
        rules: DispatchRules = DispatchRules(queueThreshold: 4),
        clock: @escaping @Sendable () -> Timestamp = { .now }
    ) -> Dispatcher {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        return Dispatcher(
            client: client,
            queue: queue,
            plan: BatchPlan(flow: Self.flow),
            rules: rules,
            interval: .milliseconds(100),
            clock: clock,
            logger: logger
        )
    }

    /// Dispatches everything that waits.
    func dispatchAll(_ rules: DispatchRules = DispatchRules(queueThreshold: 4)) async throws {
        try await stage.client { client in
            try await queue(client) { queue in
                try await queue.flush()
                try await queue.update()
                try await dispatcher(client, queue, rules: rules).look()
            }
        }
    }

    /// Takes all tasks from the queues of all batches, and returns the tasks of each record.
    func tasks(_ client: SheafClient) async throws -> [String: Set<String>] {
        var tasks: [String: Set<String>] = [:]
        for batch in try await client.batches() {
            for (record, found) in try await self.tasks(client, of: batch.info.id) {
                tasks[record, default: []].formUnion(found)
            }
        }
        return tasks
    }

    /// Takes all tasks from the queue of a batch, and returns the tasks of each record.
    func tasks(_ client: SheafClient, of batch: Name) async throws -> [String: Set<String>] {
        var tasks: [String: Set<String>] = [:]
        let queue = client.names.tasks(flow: Self.flow, batch: batch, generation: 0)
        while let delivery = try await client.broker.get(queue) {
            let task = try BatchTask(delivery.message)
            tasks[task.record.id, default: []].insert(task.id)
            try await client.broker.settle(delivery, as: .acknowledged)
        }
        return tasks
    }

    /// Checks that each request is exactly one task.
    func expectOnce(_ requests: [Record]) async throws {
        let tasks = try await stage.client { try await self.tasks($0) }
        #expect(Set(tasks.keys) == Set(requests.map(\.id)))
        #expect(tasks.values.allSatisfy { $0.count == 1 }, "\(tasks.filter { $0.value.count != 1 })")
    }
}

func requests(_ numbers: Range<Int>, prefix: String = "r") -> [Record] {
    numbers.map { Record(id: "\(prefix)\($0)", kind: .json, bytes: Array("{\"n\":\($0)}".utf8)) }
}

/// A clock that a test sets.
final class ManualClock: Sendable {
    private let time = Mutex(Timestamp(milliseconds: 1_800_000_000_000))

    var now: Timestamp { time.withLock { $0 } }

    func set(_ time: Timestamp) { self.time.withLock { $0 = time } }
}
