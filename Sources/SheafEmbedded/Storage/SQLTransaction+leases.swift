import SheafBroker
import SheafCore

extension SQLTransaction {
    /// The maximum number of messages, and the approximate maximum of bytes, that one transaction delivers.
    private static let (leasedAtOnce, bytesAtOnce) = (2_000, 32 << 20)

    /// Delivers messages of a queue, first returned ones, then new ones; returns nil if the queue was deleted.
    func lease(_ queueID: Int64, atMost limit: Int, to holder: LeaseHolder) throws -> [Delivery]? {
        guard var queue = try QueueRow.numbered(queueID, in: self) else { return nil }
        queue = try promote(queue)
        let limit = min(limit, Self.leasedAtOnce)
        var deliveries: [Delivery] = []
        deliveries.reserveCapacity(min(limit, Int(queue.next - queue.head)))
        try leaseReturned(queue, atMost: limit, to: holder, into: &deliveries)
        if deliveries.count < limit, queue.head < queue.next {
            try leaseNew(queue, atMost: limit - deliveries.count, to: holder, into: &deliveries)
        }
        return deliveries
    }

    private func leaseReturned(
        _ queue: QueueRow,
        atMost limit: Int,
        to holder: LeaseHolder,
        into deliveries: inout [Delivery]
    ) throws {
        let select = try statement(
            """
            SELECT key, \(MessageColumns.all), deliveries FROM returned JOIN message USING (key)
            WHERE key BETWEEN ? AND ? ORDER BY key LIMIT ?
            """
        )
        let first = Place.first(queue.id)
        select.bind(first, at: 1)
        select.bind(Place.last(queue.id), at: 2)
        guard let last = try collect(select, limit, queue, holder, into: &deliveries) else { return }
        try run(
            """
            INSERT INTO leased (key, session, consumer, deliveries)
            SELECT key, ?, ?, deliveries FROM returned WHERE key BETWEEN ? AND ?
            """,
            holder.session,
            holder.consumer,
            first,
            last
        )
        try run("DELETE FROM returned WHERE key BETWEEN ? AND ?", first, last)
    }

    private func leaseNew(
        _ queue: QueueRow,
        atMost limit: Int,
        to holder: LeaseHolder,
        into deliveries: inout [Delivery]
    ) throws {
        let select = try statement(
            "SELECT key, \(MessageColumns.all), 0 FROM message WHERE key BETWEEN ? AND ? ORDER BY key LIMIT ?"
        )
        let first = Place.key(queue.id, queue.head)
        select.bind(first, at: 1)
        select.bind(Place.key(queue.id, queue.next - 1), at: 2)
        guard let last = try collect(select, limit, queue, holder, into: &deliveries) else { return }
        let insert = try statement("INSERT INTO leased (key, session, consumer, deliveries) VALUES (?, ?, ?, 0)")
        insert.bind(holder.session, at: 2)
        insert.bind(holder.consumer, at: 3)
        for key in first...last {
            insert.bind(key, at: 1)
            try insert.run()
        }
        try run("UPDATE queue SET head = ? WHERE id = ?", Place.place(of: last) + 1, queue.id)
    }

    /// Reads rows as deliveries up to the limits, and returns the last key.
    private func collect(
        _ select: SQLStatement,
        _ limit: Int,
        _ queue: QueueRow,
        _ holder: LeaseHolder,
        into deliveries: inout [Delivery]
    ) throws -> Int64? {
        select.bind(Int64(limit), at: 3)
        defer { select.reset() }
        var bytes = 0
        var last: Int64?
        while bytes < Self.bytesAtOnce, try select.step() {
            let key = select.integer(0)
            let message = try MessageColumns.read(select, from: 1)
            let death = select.optionalText(6).map { Delivery.Death(reason: $0, queue: select.text(7)) }
            let token = Delivery.Token(
                epoch: UInt64(holder.session),
                channel: UInt64(holder.consumer),
                tag: UInt64(key)
            )
            let delivery = Delivery(
                message: message,
                queue: queue.name,
                earlierDeliveries: Int(select.integer(8)),
                death: death,
                token: token
            )
            deliveries.append(delivery)
            bytes += message.body.count
            last = key
        }
        return last
    }

    /// Settles deliveries of a session; those that it does not hold or no longer holds are ignored.
    func settle(_ tokens: [Delivery.Token], of session: Int64, as settlement: Settlement) throws -> SettledCounts {
        var counts: SettledCounts = [:]
        let keys = tokens.map { Int64($0.tag) }.sorted()
        var start = 0
        while start < keys.count {
            var stop = start + 1
            while stop < keys.count, keys[stop] == keys[stop - 1] + 1 { stop += 1 }
            let (first, last) = (keys[start], keys[stop - 1])
            let leases = try leases(from: first, to: last, of: session)
            for lease in leases { counts[lease.consumer, default: 0] += 1 }
            if settlement == .acknowledged, leases.count == stop - start {
                // A range of keys without gaps, the usual case, takes two statements.
                try run("DELETE FROM leased WHERE key BETWEEN ? AND ?", first, last)
                try run("DELETE FROM message WHERE key BETWEEN ? AND ?", first, last)
            } else {
                for lease in leases { try end(lease, as: settlement) }
            }
            start = stop
        }
        return counts
    }

    /// Returns the deliveries of a session with keys in a range.
    private func leases(from first: Int64, to last: Int64, of session: Int64) throws -> [Lease] {
        let select = try statement(
            "SELECT key, consumer, deliveries FROM leased WHERE key BETWEEN ? AND ? AND session = ? ORDER BY key"
        )
        select.bind(first, at: 1)
        select.bind(last, at: 2)
        select.bind(session, at: 3)
        var leases: [Lease] = []
        while try select.step() {
            leases.append(
                Lease(key: select.integer(0), consumer: select.integer(1), deliveries: select.integer(2))
            )
        }
        return leases
    }

    /// Settles one delivery.
    func end(_ lease: Lease, as settlement: Settlement) throws {
        try run("DELETE FROM leased WHERE key = ?", lease.key)
        guard settlement != .acknowledged, let queue = try QueueRow.numbered(Place.owner(of: lease.key), in: self)
        else {
            try run("DELETE FROM message WHERE key = ?", lease.key)
            return
        }
        if settlement == .rejected {
            try bury(lease.key, from: queue, reason: "rejected")
        } else if let limit = queue.deliveryLimit, lease.deliveries + 1 > limit {
            try bury(lease.key, from: queue, reason: "delivery_limit")
        } else {
            try run("INSERT INTO returned (key, deliveries) VALUES (?, ?)", lease.key, lease.deliveries + 1)
        }
    }
}

extension SQLTransaction {
    /// Moves a message to the dead-letter target of its queue, or deletes it if there is no target.
    func bury(_ key: Int64, from queue: QueueRow, reason: String) throws {
        switch queue.deadLetter {
        case .queue(let name):
            guard let target = try QueueRow.named(name, in: self) else { break }
            if let lifetime = target.lifetime {
                if let message = try dead(key, queue, reason) { try wait(message, for: lifetime, in: target) }
                break
            }
            // Only the first death is recorded; a later one keeps it.
            let copy = try statement(
                """
                INSERT INTO message (key, \(MessageColumns.all))
                SELECT ?, \(MessageColumns.list), COALESCE(death_reason, ?), COALESCE(death_queue, ?)
                FROM message WHERE key = ?
                """
            )
            copy.bind(Place.key(target.id, target.next), at: 1)
            copy.bind(reason, at: 2)
            copy.bind(queue.name, at: 3)
            copy.bind(key, at: 4)
            if try copy.run() > 0 { try run("UPDATE queue SET next = next + 1 WHERE id = ?", target.id) }
        case .log(let name):
            guard let log = try LogRow.named(name, in: self), let message = try dead(key, queue, reason) else { break }
            try append([message], to: log)
        case nil: break
        }
        try run("DELETE FROM message WHERE key = ?", key)
    }

    /// Returns a message with the headers that describe its death.
    private func dead(_ key: Int64, _ queue: QueueRow, _ reason: String) throws -> Message? {
        let select = try statement("SELECT \(MessageColumns.all) FROM message WHERE key = ?")
        select.bind(key, at: 1)
        guard try select.step() else { return nil }
        defer { select.reset() }
        var message = try MessageColumns.read(select, from: 0)
        let death = Delivery.Death(
            reason: select.optionalText(5) ?? reason,
            queue: select.optionalText(6) ?? queue.name
        )
        message.headers.removeAll { $0.name == "x-first-death-reason" || $0.name == "x-first-death-queue" }
        message.headers += [
            Message.Header("x-first-death-reason", .string(death.reason)),
            Message.Header("x-first-death-queue", .string(death.queue)),
        ]
        return message
    }
}

/// The receiver of a delivery: a session and one of its consumers.
struct LeaseHolder: Sendable, Equatable {
    /// The number of the session, which is never reused in a file.
    let session: Int64
    /// The number of the consumer within the session, or 0 for messages taken without a consumer.
    let consumer: Int64
}

/// An unsettled delivery.
struct Lease {
    /// The key of the message.
    let key: Int64
    /// The number of the consumer within the session.
    let consumer: Int64
    /// The number of earlier deliveries.
    let deliveries: Int64
}

/// The number of settled deliveries of each consumer.
typealias SettledCounts = [Int64: Int]
