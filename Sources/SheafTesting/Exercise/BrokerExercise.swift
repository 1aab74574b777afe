public import SheafBroker
import SheafCore

/// Uses a broker in every way at once, and goes on through everything that may pass by itself, as Sheaf does.
///
/// It fails when an error is thrown that does not pass by itself, when something is said to be gone that is not, and when
/// in the end anything confirmed is missing.
public final class BrokerExercise: Sendable {
    /// A way to use a broker.
    public enum Activity: String, Sendable, CaseIterable {
        /// Publishes to a queue with confirms.
        case publishing
        /// Consumes that queue and settles.
        case consuming
        /// Appends to a log with confirms.
        case appending
        /// Reads that log from its beginning.
        case reading
        /// Declares, and asks for what there is.
        case declaring
        /// Takes a lock, asks for it and releases it.
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

    /// Does everything until the body has returned, and then checks that nothing confirmed is missing.
    ///
    /// - Parameters:
    ///   - broker: What is used; not closed afterwards.
    ///   - settlingWithin: How long it may take, after the body, until all that was confirmed has arrived.
    ///   - body: What happens to the broker meanwhile.
    public static func run(
        on broker: any Broker,
        settlingWithin limit: Duration = .seconds(30),
        _ body: @escaping @Sendable (BrokerExercise) async throws -> Void
    ) async throws {
        let exercise = BrokerExercise(broker)
        try await broker.declareQueue(QueueDeclaration(name: exercise.queue, deliveryLimit: 1_000))
        try await broker.declareLog(LogDeclaration(name: exercise.log))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await exercise.consume() }
            group.addTask { try await exercise.read() }
            group.addTask {
                try await exercise.produce(during: body)
                try await exercise.awaitEverything(within: limit)
            }
            defer { group.cancelAll() }
            // The receiving two go on until they are cancelled: the first to return is the one that has checked all.
            try await group.next()
        }
        if let problem = exercise.ledger.problem { throw exercise.failure(problem) }
        try await broker.deleteQueue(exercise.queue)
        try await broker.deleteLog(exercise.log)
    }

    /// Waits until every activity has succeeded with something begun after a moment, and returns how long each took.
    @discardableResult
    public func progress(
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

    /// The first error of each activity that came after a moment: how long after, and which.
    public func firstErrors(since moment: ContinuousClock.Instant) -> [Activity: (after: Duration, error: BrokerError)]
    {
        record.firstErrors(since: moment)
    }

    /// The longest call that ended after a moment, and what it was.
    public func longestCall(
        since moment: ContinuousClock.Instant,
        of activities: [Activity] = Activity.allCases
    ) -> (Activity, Duration)? {
        record.longestCall(since: moment, of: activities)
    }

    /// The name of the log that is appended to and read.
    public var logName: String { log }

    /// How much was confirmed so far, in the queue and in the log.
    public var confirmedCount: Int { ledger.confirmedCount }

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
            // The consumer holds what it got last until more comes.
            try await publishLast()
            guard ContinuousClock.now < deadline else {
                throw failure("not within \(limit): \(missing); last errors: \(record.lastErrors)")
            }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    func failure(_ message: String, line: Int = #line) -> BrokerConformanceFailure {
        BrokerConformanceFailure(message, file: #fileID, line: line)
    }
}
