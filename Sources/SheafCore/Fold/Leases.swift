/// The leases of a batch's tasks that have no outcome, by task index.
///
/// A bulk may have tens of thousands of tasks. Of their leases only what differs is kept, 40 bytes each: the id follows
/// from the rest, the worker is that of the bulk, and all share the string with the bulk's id.
package struct Leases: Sendable, Equatable {
    private struct InBulk: Sendable, Equatable {
        let bulk: String
        let offset: Int64
        let generation: Int32
    }

    private var inBulks: [Int: InBulk] = [:]
    private var others: [Int: TaskLease] = [:]
    /// The tasks on a lease of their own, in no bulk, by the worker that holds it.
    private var single: [String: Set<Int>] = [:]

    package init() {}

    package var isEmpty: Bool { inBulks.isEmpty && others.isEmpty }
    package var count: Int { inBulks.count + others.count }

    /// The lease of a task; nil if it has none.
    package subscript(_ index: Int) -> TaskLease? {
        if let other = others[index] { return other }
        return inBulks[index].map { Self.lease(of: index, $0) }
    }

    /// The id of the bulk that a task is in; nil if it is in none.
    package func bulk(of index: Int) -> String? { inBulks[index]?.bulk ?? others[index]?.bulk }

    /// The generation that a task is leased for; nil if it has no lease.
    func generation(of index: Int) -> Int? { inBulks[index].map { Int($0.generation) } ?? others[index]?.generation }

    /// The leases, in no particular order.
    package var values: some Sequence<TaskLease> {
        [AnySequence(others.values), AnySequence(inBulks.lazy.map { Self.lease(of: $0.key, $0.value) })].joined()
    }

    /// The tasks that have a lease.
    var indices: some Sequence<Int> { [Array(others.keys), Array(inBulks.keys)].joined() }

    /// The workers that hold tasks that are in no bulk.
    var workers: some Collection<String> { single.keys }

    /// The tasks whose lease has an id.
    func tasks(ofLease id: String) -> [Int] {
        // The id of a lease in a bulk ends with its task: a bulk that is returned would else cost its square.
        if let index = id.split(separator: ".").last.flatMap({ Int($0) }), let bulk = inBulks[index]?.bulk,
            id == TaskLease.derivedID(of: index, in: bulk)
        {
            return [index]
        }
        return others.filter { $0.value.id == id }.map(\.key)
    }

    /// The tasks in no bulk that a worker holds.
    func tasks(of worker: String) -> Set<Int> { single[worker] ?? [] }

    /// Keeps a lease of a task that has none.
    ///
    /// - Parameters:
    ///   - lease: The lease.
    ///   - bulk: The id of its bulk as it is kept elsewhere, to share its storage; nil if the task is in no bulk.
    mutating func insert(_ lease: TaskLease, in bulk: String?) {
        if let bulk, lease.hasDerivedID, let generation = Int32(exactly: lease.generation) {
            inBulks[lease.index] = InBulk(bulk: bulk, offset: lease.offset, generation: generation)
        } else {
            others[lease.index] = lease.stored
            if bulk == nil { single[lease.worker, default: []].insert(lease.index) }
        }
    }

    /// Removes the lease of a task, and returns the id of the bulk that the task was in.
    mutating func remove(_ index: Int) -> String? {
        if let found = inBulks.removeValue(forKey: index) { return found.bulk }
        guard let lease = others.removeValue(forKey: index) else { return nil }
        if let bulk = lease.bulk { return bulk }
        single[lease.worker]?.remove(index)
        if single[lease.worker]?.isEmpty == true { single[lease.worker] = nil }
        return nil
    }

    private static func lease(of index: Int, _ found: InBulk) -> TaskLease {
        var lease = TaskLease(
            id: TaskLease.derivedID(of: index, in: found.bulk),
            index: index,
            generation: Int(found.generation),
            worker: "",
            offset: found.offset
        )
        lease.bulk = found.bulk
        return lease
    }
}
