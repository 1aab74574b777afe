/// The bulks of a batch, by id: tasks that a flow runs as one job, and the worker that holds them.
///
/// A bulk lasts as long as a task is leased to it.
package struct Bulks: Sendable, Equatable {
    /// Tasks that a worker holds together.
    package struct Bulk: Sendable, Equatable {
        /// How often the bulk was handed over.
        package fileprivate(set) var turn = 0
        /// The worker that holds it, as in the name of its lock; nil while it waits for the next one.
        package fileprivate(set) var worker: String?
        /// Whether its flow has begun with it.
        package fileprivate(set) var hasBegun = false
        /// The offset of its newest memo in the results log; nil if its flow has set none.
        package fileprivate(set) var memo: Int64?
        /// The indices of its tasks that have no outcome.
        package fileprivate(set) var tasks: Set<Int> = []
    }

    private var bulks: [String: Bulk] = [:]

    package init() {}

    package subscript(_ id: String) -> Bulk? { bulks[id] }

    /// The bulks with their ids, in no particular order.
    package var all: some Sequence<(key: String, value: Bulk)> { bulks }

    /// Adds a task to the bulk of its lease, if it is of one, and returns the id of that bulk as it is kept here.
    mutating func add(_ lease: TaskLease) -> String? {
        guard let id = lease.bulk else { return nil }
        guard let place = bulks.index(forKey: id) else {
            bulks[id] = Bulk(worker: lease.worker, tasks: [lease.index])
            return id
        }
        bulks.values[place].tasks.insert(lease.index)
        return bulks.keys[place]
    }

    /// Removes a task from a bulk.
    mutating func remove(_ index: Int, from id: String) {
        guard let place = bulks.index(forKey: id) else { return }
        bulks.values[place].tasks.remove(index)
        if bulks.values[place].tasks.isEmpty { bulks.remove(at: place) }
    }

    /// Applies an entry; of a worker whose turn is over it changes nothing, and neither does that of a bulk that ended,
    /// nor one that leaves turns out.
    mutating func apply(_ event: BulkEvent, at offset: Int64) {
        guard var bulk = bulks[event.bulk], event.turn <= bulk.turn + 1 else { return }
        switch event.action {
        case .begun:
            if event.turn == bulk.turn, bulk.worker != nil { bulk.hasBegun = true }
        case .remembered:
            if event.turn == bulk.turn, bulk.worker != nil { bulk.memo = offset }
        case .offered:
            if event.turn > bulk.turn { (bulk.turn, bulk.worker) = (event.turn, nil) }
        case .adopted(let worker):
            if event.turn > bulk.turn || (event.turn == bulk.turn && bulk.worker == nil) {
                (bulk.turn, bulk.worker) = (event.turn, worker)
            }
        }
        bulks[event.bulk] = bulk
    }

    // MARK: Snapshot

    private var sorted: [(key: String, value: Bulk)] { bulks.sorted { $0.key < $1.key } }

    /// Writes the bulks without their tasks, and then leases, which name their bulks by number.
    func write(_ leases: Leases, to writer: inout SnapshotWriter) {
        let sorted = sorted
        writer.list(sorted) { writer, entry in
            writer.text(entry.key)
            writer.number(entry.value.turn)
            writer.number((entry.value.worker == nil ? 0 : 1) + (entry.value.hasBegun ? 2 : 0))
            writer.text(entry.value.worker ?? "")
            writer.number(entry.value.memo.map { Int($0) + 1 } ?? 0)
        }
        let numbers = Dictionary(uniqueKeysWithValues: sorted.enumerated().map { ($1.key, $0 + 1) })
        writer.list(leases.indices.sorted()) { writer, index in
            guard let lease = leases[index] else { return }
            writer.numbers(lease.index, lease.generation)
            writer.number(lease.bulk.flatMap { numbers[$0] } ?? 0)
            // The id of a lease of a bulk follows from the rest, and tens of thousands of them would not fit.
            writer.text(lease.hasDerivedID ? "" : lease.id)
            writer.text(lease.worker)
            writer.number(Int(lease.offset))
        }
    }

    /// Reads what ``write(_:to:)`` has written; returns the leases.
    mutating func read(from reader: inout SnapshotReader) -> Leases {
        var ids: [String] = []
        reader.list { reader in
            let (id, turn) = (reader.text(), reader.number(below: BatchState.maximumTasks))
            let (flags, worker) = (reader.number(below: 4), reader.text())
            let memo = reader.number(below: Int.max)
            ids.append(id)
            bulks[id] = Bulk(
                turn: turn,
                worker: flags & 1 != 0 ? worker : nil,
                hasBegun: flags & 2 != 0,
                memo: memo > 0 ? Int64(memo - 1) : nil
            )
        }
        var leases = Leases()
        reader.list { reader in
            let (index, generation) = (reader.index(), reader.number(below: BatchState.maximumTasks))
            let number = reader.number(below: ids.count + 1)
            let (id, worker) = (reader.text(), reader.text())
            let offset = Int64(reader.number(below: Int.max))
            var lease = TaskLease(id: id, index: index, generation: generation, worker: worker, offset: offset)
            if number > 0 {
                lease.bulk = ids[number - 1]
                if id.isEmpty { lease.id = TaskLease.derivedID(of: index, in: ids[number - 1]) }
                bulks[ids[number - 1]]?.tasks.insert(index)
            }
            leases.insert(lease, in: lease.bulk)
        }
        return leases
    }
}
