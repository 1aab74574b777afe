package import SheafBroker
import SheafCore

/// Uses a broker in every way at once and continues after every retryable error, as Sheaf does.
///
/// It fails if an error is not retryable, if something that exists is reported as missing, or if anything confirmed is
/// missing in the end.
package final class BrokerExercise: Sendable {
    /// A way to use a broker.
    package enum Activity: String, Sendable, CaseIterable {
        /// Publishes to a queue with confirms.
        case publishing
        /// Consumes from that queue and settles.
        case consuming
        /// Appends to a log with confirms.
        case appending
        /// Reads that log from its beginning.
        case reading
        /// Declares and queries a queue and a log.
        case declaring
        /// Acquires, queries and releases a lock.
        case locking
    }

    let broker: any Broker
    let queue: String
    let log: String
    let lock: String
    let record = ExerciseRecord()
    let ledger = ExerciseLedger()

    private init(_ broker: any Broker) {
        let suffix = String(UInt64.random(in: .min ... .max), radix: 36)
        self.broker = broker
        self.queue = "exercise.queue.\(suffix)"
        self.log = "exercise.log.\(suffix)"
        self.lock = "exercise.lock.\(suffix)"
    }

    /// Runs all activities until the body returns, and then checks that nothing confirmed is missing.
    ///
    /// - Parameters:
    ///   - broker: The broker; not closed afterwards.
    ///   - limit: The time limit, after the body, for everything confirmed to arrive.
    ///   - body: Disturbs the broker in the meantime.
    package static func run(
        on broker: any Broker,
        settlingWithin limit: Duration = .seconds(30),
        _ body: @escaping @Sendable (BrokerExercise) async throws -> Void
    ) async throws {
        let exercise = BrokerExercise(broker)
        try await broker.declareQueue(QueueDeclaration(name: exercise.queue, kind: .work(deliveryLimit: 1_000)))
        try await broker.declareLog(LogDeclaration(name: exercise.log))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await exercise.consume() }
            group.addTask { try await exercise.read() }
            group.addTask {
                try await exercise.produce(during: body)
                try await exercise.awaitEverything(within: limit)
            }
            defer { group.cancelAll() }
            // The two receivers run until they are cancelled: the first task to return is the one that checked
            // everything.
            try await group.next()
        }
        if let problem = exercise.ledger.problem { throw exercise.failure(problem) }
        try await broker.deleteQueue(exercise.queue)
        try await broker.deleteLog(exercise.log)
    }

    /// Waits until every activity has completed a call begun after a point in time, and returns the time each needed.
    @discardableResult
    package func progress(
        of activities: [Activity] = Activity.allCases,
        since moment: ContinuousClock.Instant = .now,
        within limit: Duration = .seconds(20)
    ) async throws -> [Activity: Duration] {
        let deadline = moment + limit
        while true {
            let successes = record.firstSuccesses(since: moment)
            let missing = activities.filter { successes[$0] == nil }
            if missing.isEmpty { return successes }
            guard ContinuousClock.now < deadline else {
                let names = missing.map(\.rawValue).joined(separator: ", ")
                throw failure("no success within \(limit): \(names); last errors: \(record.lastErrors)")
            }
            try await Task.sleep(for: .milliseconds(10))
        }
    }

    /// Returns the first error of each activity after a point in time, and how long after.
    package func firstErrors(since moment: ContinuousClock.Instant) -> [Activity: (after: Duration, error: BrokerError)]
    {
        record.firstErrors(since: moment)
    }

    /// Returns the longest call that ended after a point in time, with its duration.
    package func longestCall(
        since moment: ContinuousClock.Instant,
        of activities: [Activity] = Activity.allCases
    ) -> (Activity, Duration)? {
        record.longestCall(since: moment, of: activities)
    }

    /// The name of the log in use.
    package var logName: String { log }

    /// The number of messages and entries confirmed so far.
    package var confirmedCount: Int { ledger.confirmedCount }

    private func produce(during body: @escaping @Sendable (BrokerExercise) async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.publish() }
            group.addTask { try await self.append() }
            group.addTask { try await self.declare() }
            group.addTask { try await self.useLock() }
            group.addTask {
                defer { self.record.stop() }
                try await body(self)
            }
            try await group.waitForAll()
        }
    }

    private func awaitEverything(within limit: Duration) async throws {
        let deadline = ContinuousClock.now + limit
        while let missing = ledger.missing {
            // The consumer holds its last deliveries until more arrive.
            try await publishLast()
            guard ContinuousClock.now < deadline else {
                throw failure("not within \(limit): \(missing); last errors: \(record.lastErrors)")
            }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    func failure(_ message: String, line: Int = #line) -> TestToolError {
        TestToolError("\(message) (\(#fileID):\(line))")
    }
}

extension BrokerExercise {
    /// The pause between two calls of an activity, so that it measures the faults and not the machine.
    private static let pace = Duration.milliseconds(5)
    private static let prefetch = 50

    func publish() async throws {
        var number = 0
        while !record.isStopping {
            let ids = (number..<number + 5).map { "task-\($0)" }
            number += 5
            let messages = ids.map { Message(id: $0, body: Array($0.utf8)) }
            if try await attempt(.publishing, { try await self.broker.publish(messages, to: self.queue) }) != nil {
                ledger.published(ids)
            }
            try await Task.sleep(for: Self.pace)
        }
    }

    func publishLast() async throws {
        _ = try await attempt(nil) { try await self.broker.publish(Message(id: "last"), to: self.queue) }
    }

    func append() async throws {
        var number = 0
        while !record.isStopping {
            let ids = (number..<number + 5).map { "entry-\($0)" }
            number += 5
            let messages = ids.map { Message(id: $0, body: Array($0.utf8)) }
            if try await attempt(.appending, { try await self.broker.append(messages, to: self.log) }) != nil {
                ledger.appended(ids)
            }
            try await Task.sleep(for: Self.pace)
        }
    }

    /// Holds the last deliveries until the next arrive, so that there are always deliveries to lose.
    ///
    /// Those of an ended consumer are settled too, like those of a worker that finishes its task: that must have no
    /// effect.
    func consume() async throws {
        var held: [Delivery] = []
        while !Task.isCancelled {
            guard
                let consumer = try await attempt(
                    nil,
                    { try await self.broker.consume(self.queue, prefetch: Self.prefetch) }
                )
            else { continue }
            var stale = held
            held = []
            while let next = try await attempt(.consuming, { try await consumer.next() }), let arrived = next {
                try await settle(&stale, isStale: true)
                try await settle(&held, isStale: false)
                held = arrived
                // Otherwise nothing more could arrive.
                if held.count > Self.prefetch / 2 { try await settle(&held, isStale: false) }
            }
            // It returns no deliveries if the consumer is gone, and never throws in that case.
            _ = try await attempt(nil) { try await consumer.cancel() }
        }
    }

    private func settle(_ deliveries: inout [Delivery], isStale: Bool) async throws {
        let settled = deliveries
        deliveries = []
        guard !settled.isEmpty else { return }
        let result: Void? = try await attempt(nil) { try await self.broker.settle(settled, as: .acknowledged) }
        if result != nil, !isStale { ledger.settled(settled.map(\.message.id)) }
    }

    func read() async throws {
        var position = LogPosition.first
        while !Task.isCancelled {
            let start = position
            guard let reader = try await attempt(nil, { try await self.broker.read(self.log, from: start) })
            else { continue }
            while let next = try await attempt(.reading, { try await reader.next() }), let chunk = next {
                ledger.read(chunk.entries)
                position = .offset(chunk.nextOffset)
            }
            await reader.cancel()
        }
    }

    func declare() async throws {
        while !record.isStopping {
            let status = try await attempt(.declaring) { () async throws -> QueueStatus? in
                try await self.broker.declareLog(LogDeclaration(name: self.log))
                try await self.broker.declareQueue(
                    QueueDeclaration(name: self.queue, kind: .work(deliveryLimit: 1_000))
                )
                return try await self.broker.queueStatus(self.queue)
            }
            if let status, status == nil { throw failure("a queue that exists was reported as missing") }
            try await Task.sleep(for: Self.pace)
        }
    }

    func useLock() async throws {
        while !record.isStopping {
            // Nil until the broker notices the end of the connection that held it.
            let acquired = try await attempt(.locking, succeedsLater: true) {
                try await self.broker.acquireLock(self.lock)
            }
            if let lock = acquired ?? nil {
                _ = try await attempt(.locking) { try await self.broker.isLocked(self.lock) }
                await lock.release()
                if await lock.isHeld { throw failure("a released lock reports that it is held") }
            }
            try await Task.sleep(for: Self.pace)
        }
    }

    /// Makes a call and records its result; returns nil after a retryable error and a short pause.
    private func attempt<Value: Sendable>(
        _ activity: Activity?,
        succeedsLater: Bool = false,
        _ body: @Sendable () async throws -> Value
    ) async throws -> Value? {
        let start = ContinuousClock.now
        do {
            let value = try await body()
            if let activity, !succeedsLater { record.succeeded(activity, start) }
            return value
        } catch let error as BrokerError {
            guard error.isRetryable, !error.message.isEmpty else {
                throw failure("\(activity?.rawValue ?? "a call") failed with \(error.code): \(error)")
            }
            record.failed(activity, start, error)
            try await Task.sleep(for: .milliseconds(20))
            return nil
        }
    }
}
