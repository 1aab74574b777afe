import SheafBatches
import SheafBroker
import SheafCore

// MARK: - What the ledger keeps of each delivery

/// What the leases of the tasks of a bulk have in common: tens of thousands of them share one of these.
final class BulkMembership: Sendable {
    let bulk: String
    let worker: String

    init(bulk: String, worker: String) { (self.bulk, self.worker) = (bulk, worker) }
}

extension TaskLedger {
    enum Lease: Sendable {
        case none
        /// Being written; it may be in the log.
        indirect case offered(TaskLease)
        /// In the log, and its delivery acknowledged.
        indirect case written(TaskLease)
        /// In the log, and its delivery acknowledged; the lease follows from the task and the bulk.
        case joined(BulkMembership)

        var isWritten: Bool {
            switch self {
            case .none, .offered: false
            case .written, .joined: true
            }
        }

        /// The bulk that the task has joined.
        var bulk: String? {
            switch self {
            case .none, .offered: nil
            case .written(let lease): lease.bulk
            case .joined(let membership): membership.bulk
            }
        }
    }

    enum PermitHold: Sendable {
        case none
        indirect case held(Delivery, since: Instant)
        /// Its permit was given up for renewal, and the next one is not here yet.
        case owed
    }

    struct Attempt: Sendable {
        let task: TaskKey
        /// The number that the message has; each retry is a new message with the next one.
        let number: Int
        var lease = Lease.none
        /// Cancels the attempt, once it is being made.
        var cancel: (@Sendable () -> Void)?

        /// The lease that is, or may be, in the log.
        var knownLease: TaskLease? {
            switch lease {
            case .none: nil
            case .offered(let lease), .written(let lease): lease
            case .joined(let membership):
                TaskLease(
                    index: task.index,
                    generation: task.generation,
                    in: membership.bulk,
                    worker: membership.worker
                )
            }
        }
    }

    enum State: Sendable {
        /// In the inbox; it has not begun.
        case waiting
        case running(Attempt)
        /// In the inbox again after it began.
        case deferred(Attempt)
        /// One part of the worker is settling it without an outcome.
        case settling(Attempt?)
        /// Its outcome is in the log; only its acknowledgement is missing.
        case confirmed(isLeased: Bool)
    }

    struct Redelivery: Sendable {
        let delivery: TaskDelivery
        let since: Instant
    }

    struct Entry: Sendable {
        var delivery: TaskDelivery
        let since: Instant
        var state = State.waiting
        var permit: PermitHold
        /// Later deliveries of the same task, which are settled together with this one.
        var redeliveries: [Redelivery] = []

        init(_ delivery: TaskDelivery, _ now: Instant) {
            self.delivery = delivery
            since = now
            permit = delivery.permit.map { .held($0, since: now) } ?? .none
        }

        /// The attempt of a task that has begun and is not being settled.
        var attempt: Attempt? {
            get {
                switch state {
                case .running(let attempt), .deferred(let attempt): attempt
                case .waiting, .settling, .confirmed: nil
                }
            }
            set {
                guard let newValue else { return }
                if case .running = state { state = .running(newValue) } else { state = .deferred(newValue) }
            }
        }

        /// Whether one part of the worker is settling it.
        var isClosing: Bool {
            switch state {
            case .settling, .confirmed: true
            case .waiting, .running, .deferred: false
            }
        }

        /// Whether the task is in the results log, so that the broker no longer waits for this delivery.
        var isLeased: Bool {
            switch state {
            case .running(let attempt), .deferred(let attempt), .settling(.some(let attempt)): attempt.lease.isWritten
            case .confirmed(let isLeased): isLeased
            case .waiting, .settling: false
            }
        }

        /// What the broker has to be told once the task is on a lease.
        var leaseSettlement: PendingSettlement {
            var settlement = PendingSettlement()
            if !isLeased { settlement.owed.append(delivery.token) }
            for redelivery in redeliveries { settlement.add(redelivery.delivery) }
            return settlement
        }

        /// Adds the deliveries that the broker waits for, and the permits that go with them.
        func add(to settlement: inout PendingSettlement) {
            if !isLeased { settlement.owed.append(delivery.token) }
            if case .held(let permit, _) = permit { settlement.permits.append((delivery.batch, permit)) }
            for redelivery in redeliveries { settlement.add(redelivery.delivery) }
        }
    }
}

// MARK: - Its indexes

extension TaskLedger {
    /// How many deliveries of each queue are held.
    struct QueueTallies: Sendable {
        struct Tally: Sendable, Equatable {
            var held = 0
            /// How many of them the broker waits for.
            var owed = 0
        }

        private var counts: [QueueKey: Tally] = [:]
        // Deliveries come and go in runs of the same queue, and hashing its name for each would show in every drain.
        private var current: (queue: QueueKey, change: Tally)?

        mutating func add(_ entry: Entry, _ count: Int) {
            change(entry.delivery.queue, held: count, owed: entry.isLeased ? 0 : count)
        }

        mutating func noteLease(of queue: QueueKey?) { change(queue, held: 0, owed: -1) }

        private mutating func change(_ queue: QueueKey?, held: Int, owed: Int) {
            guard let queue else { return }
            if current?.queue != queue {
                if let current { Self.add(current, to: &counts) }
                current = (queue, Tally())
            }
            current?.change.held += held
            current?.change.owed += owed
        }

        private static func add(_ current: (queue: QueueKey, change: Tally), to counts: inout [QueueKey: Tally]) {
            var tally = counts[current.queue, default: Tally()]
            tally.held += current.change.held
            tally.owed += current.change.owed
            counts[current.queue] = tally.held == 0 ? nil : tally
        }

        /// The tallies of the queues that deliveries are held of.
        var all: [QueueKey: Tally] {
            var all = counts
            if let current { Self.add(current, to: &all) }
            return all
        }
    }

    /// The deliveries of the running tasks of a batch, by index; those of a bulk together.
    struct RunningTasks: Sendable {
        private var single: [Int: Token] = [:]
        private var bulks: [String: [Int: Token]] = [:]

        var isEmpty: Bool { single.isEmpty && bulks.isEmpty }
        var count: Int { bulks.values.reduce(single.count) { $0 + $1.count } }
        var tokens: [Token] { bulks.values.reduce(Array(single.values)) { $0 + $1.values } }
        var indices: [Int] { single.keys.sorted() }
        var bulkCounts: [String: Int] { bulks.mapValues(\.count) }

        subscript(_ index: Int) -> Token? { single[index] ?? bulks.values.lazy.compactMap { $0[index] }.first }

        mutating func insert(_ index: Int, _ token: Token, in bulk: String?) {
            if bulk != nil || !bulks.isEmpty { remove(index) }
            if let bulk { bulks[bulk, default: [:]][index] = token } else { single[index] = token }
        }

        mutating func remove(_ index: Int) {
            if single.removeValue(forKey: index) != nil { return }
            // While the bulks are gone through, a change would copy one of them as a whole.
            guard let id = bulks.first(where: { $0.value[index] != nil })?.key else { return }
            bulks[id]?.removeValue(forKey: index)
            if bulks[id]?.isEmpty == true { bulks[id] = nil }
        }
    }
}

// MARK: - What its callers pass and get

extension TaskLedger {
    /// A task that is about to begin.
    struct Candidate: Sendable {
        let delivery: TaskDelivery
        let task: TaskKey
        /// The number of the attempt that its message has.
        let attempt: Int
        /// Whether its batch may run it.
        let mayRun: Bool
        /// How often its batch was resumed after a halt.
        let continuations: Int
    }

    /// What to do with a delivery whose task could begin.
    enum Admission: Sendable, Equatable {
        /// Begin; the first task of its batch here, or a later one.
        case begin(isFirst: Bool)
        /// Acknowledge it: its outcome is already in the log.
        case acknowledge
        /// Nothing: it is settled together with the same task, which runs here, or the broker has taken it back.
        case none
        /// Return it to its queue: its batch, or the whole worker, starts nothing now.
        case giveBack
        /// Let it wait for its rate limit.
        case wait
    }

    /// A delivery that only its caller may settle now.
    struct Closed: Sendable {
        let delivery: TaskDelivery
        /// The task, if it has begun.
        let task: TaskKey?
        /// The lease that is, or may be, in the results log.
        let lease: TaskLease?
        /// Whether the task is in the results log and no longer in its queue.
        let isLeased: Bool
        /// What the broker has to be told.
        let settlement: PendingSettlement
    }

    /// A running task that the broker would soon take back.
    struct LeaseRequest: Sendable {
        let delivery: TaskDelivery
        let task: TaskKey
        /// The lease it has, or was offered, already.
        let lease: TaskLease?
    }
}

/// What the broker has to be told of tasks that have ended.
struct PendingSettlement: Sendable {
    /// The deliveries that the broker waits for.
    fileprivate(set) var owed: [Delivery.Token] = []
    /// The permits that go with them, and their batches.
    fileprivate(set) var permits: [(batch: Name?, permit: Delivery)] = []
    /// The deliveries that the ledger may forget afterwards.
    fileprivate(set) var released: [Delivery.Token] = []

    init(released: [Delivery.Token] = []) { self.released = released }

    init(_ closed: [TaskLedger.Closed]) {
        for closed in closed { add(closed.settlement) }
    }

    /// Whether there is nothing to tell.
    var isEmpty: Bool { released.isEmpty && owed.isEmpty && permits.isEmpty }

    /// Adds another settlement.
    mutating func add(_ other: PendingSettlement) {
        owed += other.owed
        permits += other.permits
        released += other.released
    }

    /// Adds a delivery that the ledger may forget afterwards.
    mutating func release(_ token: Delivery.Token) { released.append(token) }

    /// Adds a delivery and the permit that came with it.
    mutating func add(_ delivery: TaskDelivery) {
        owed.append(delivery.token)
        if let permit = delivery.permit { permits.append((delivery.batch, permit)) }
    }
}
