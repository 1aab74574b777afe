import BitCollections

/// The state of a batch's tasks: the pure fold of its results and of its size in the journal.
///
/// Applying an event twice has the same effect as applying it once. Events that do not conflict lead to the same state
/// in any order. Two different outcomes of one task conflict; a reader applies a log in order, and the first outcome
/// counts. Counts are derived from sets and never stored. The state needs two bits per task, plus an entry for each
/// retried task and for each question of a task that has no outcome.
package struct BatchState: Sendable, Equatable {
    /// The maximum number of tasks of a batch; limits the memory that a foreign message can make a reader allocate.
    package static let maximumTasks = 100_000_000

    /// The number of tasks known to be published; a lower bound of the total until the batch is sealed.
    package private(set) var published = 0
    /// The total, once the creator has recorded it.
    package private(set) var sealedTotal: Int?
    /// When the first task started.
    package private(set) var startedAt: Timestamp?
    /// The total usage of all successes that counted; a retried task may have had several.
    package private(set) var usage = Usage()

    // A task is open (in neither set), succeeded (low), failed (high), or failed because of an invalid record (both).
    private var low = BitSet()
    private var high = BitSet()
    /// The generation of each task that was opened again.
    private var generations: [Int: Int] = [:]
    /// Outcomes of a generation that this reader does not know to be open yet.
    private var early: [Int: OutcomeSummary] = [:]
    /// The tasks to open again for a generation, by the nonce of the retry that named them.
    private var reopened: [Int: [String: BitSet]] = [:]
    /// The nonce that the journal has committed, by generation.
    private var committed: [Int: String] = [:]
    /// The tasks of the pilot.
    private var pilot = BitSet()
    /// The tasks that get the outcome of another one.
    private var twins = BitSet()
    /// The leases of tasks that have no outcome, by task index.
    package private(set) var leases = Leases()
    /// Which of the leases are held together, and by which worker.
    package private(set) var bulks = Bulks()
    /// The questions of tasks that have no outcome, with the answers they got.
    package private(set) var questions = QuestionState()

    package init() {}

    /// Records the number of published tasks.
    package mutating func applyPublished(_ count: Int) {
        if sealedTotal == nil { published = max(published, min(count, Self.maximumTasks)) }
    }

    /// Records the total; the first recorded total counts, and outcomes beyond it never count.
    package mutating func applySealed(total: Int) {
        guard sealedTotal == nil else { return }
        sealedTotal = total
        published = total
        let known = BitSet(0..<max(0, total))
        low.formIntersection(known)
        high.formIntersection(known)
        pilot.formIntersection(known)
        twins.formIntersection(known)
        early = early.filter { $0.key < total }
        generations = generations.filter { $0.key < total }
        questions.keep(below: total)
    }

    /// Records that a worker started its first task of the batch.
    package mutating func applyStarted(at time: Timestamp) {
        startedAt = min(startedAt ?? time, time)
    }

    /// Counts an outcome if its task is open for that generation, and returns whether it counted.
    ///
    /// A cancelled task stays open: all unsettled tasks of a cancelled batch are cancelled together.
    @discardableResult
    package mutating func apply(_ outcome: OutcomeSummary) -> Bool {
        guard (0..<(sealedTotal ?? Self.maximumTasks)).contains(outcome.index), outcome.status != .cancelled,
            outcome.generation < Self.maximumTasks
        else { return false }
        let generation = generations[outcome.index] ?? 0
        if outcome.generation > generation {
            if outcome.generation > early[outcome.index]?.generation ?? 0 { early[outcome.index] = outcome }
            return false
        }
        guard outcome.generation == generation, !isSettled(outcome.index) else { return false }
        if outcome.status == .succeeded || outcome.isInvalidRecord { low.insert(outcome.index) }
        if outcome.status == .failed { high.insert(outcome.index) }
        if outcome.status == .succeeded { usage += outcome.usage }
        endLease(of: outcome.index, before: outcome.generation + 1)
        questions.end(outcome.index, before: outcome.generation + 1)
        return true
    }

    /// Returns the generation for which a task is open or was settled.
    package func generation(of index: Int) -> Int { generations[index] ?? 0 }

    private mutating func endLease(of index: Int, before generation: Int) {
        if let leased = leases.generation(of: index), leased < generation { removeLease(of: index) }
    }

    private mutating func removeLease(of index: Int) {
        if let bulk = leases.remove(index) { bulks.remove(index, from: bulk) }
    }

    private mutating func reopen(_ indices: some Sequence<Int>, generation: Int) {
        for index in indices where generation > generations[index] ?? 0 && index < sealedTotal ?? Self.maximumTasks {
            generations[index] = generation
            endLease(of: index, before: generation)
            questions.end(index, before: generation)
            low.remove(index)
            high.remove(index)
            if let outcome = early[index], outcome.generation <= generation {
                early[index] = nil
                apply(outcome)
            }
        }
    }

    /// Returns whether the task with that index has an outcome.
    package func isSettled(_ index: Int) -> Bool {
        low.contains(index) || high.contains(index)
    }

    /// The numbers of settled tasks.
    package var settled: Settled {
        let both = low.intersection(high).count
        return Settled(succeeded: low.count - both, failed: high.count, invalid: both)
    }

    /// The numbers of settled tasks of the pilot.
    package var settledOfPilot: Settled {
        let (succeeded, failed) = (low.intersection(pilot), high.intersection(pilot))
        let both = succeeded.intersection(failed).count
        return Settled(succeeded: succeeded.count - both, failed: failed.count, invalid: both)
    }

    /// The number of tasks known to be of the pilot.
    package var pilotCount: Int { pilot.count }

    /// Returns whether a task is of the pilot.
    package func isOfPilot(_ index: Int) -> Bool { pilot.contains(index) }

    /// Records which tasks are of the pilot.
    package mutating func applyPilot(_ tasks: IndexRanges) {
        let limit = sealedTotal ?? Self.maximumTasks
        for range in tasks.ranges where range.lowerBound < limit {
            pilot.insert(all: range.clamped(to: 0..<limit))
        }
    }

    /// Returns whether a task gets the outcome of another one.
    package func isTwin(_ index: Int) -> Bool { twins.contains(index) }

    /// The number of tasks that get the outcome of another one.
    package var twinCount: Int { twins.count }

    /// The number of tasks that will get the outcome of another one and have none yet.
    package var openTwins: Int { twins.isEmpty ? 0 : twins.subtracting(low).subtracting(high).count }

    /// Records which tasks get the outcome of another one.
    package mutating func applyTwins(_ list: [Twin]) {
        let limit = sealedTotal ?? Self.maximumTasks
        for twin in list where twin.index < limit { twins.insert(twin.index) }
    }

    /// The numbers of settled tasks, by how they ended.
    package struct Settled: Sendable, Equatable {
        /// Tasks that ended with an output.
        package var succeeded: Int
        /// Tasks that failed, including those with invalid records.
        package var failed: Int
        /// Tasks that failed because their record could not be read.
        package var invalid: Int

        package init(succeeded: Int = 0, failed: Int = 0, invalid: Int = 0) {
            self.succeeded = succeeded
            self.failed = failed
            self.invalid = invalid
        }

        /// The number of all settled tasks.
        package var count: Int { succeeded + failed }
        /// The number of failures that the error policy considers.
        package var policyFailures: Int { failed - invalid }
    }

    /// Records which tasks a retry wants to open again.
    ///
    /// They are open once the journal has the matching `retried` entry; the two may be applied in any order.
    package mutating func applyReopened(generation: Int, nonce: String, tasks: IndexRanges) {
        if let winner = committed[generation], winner != nonce { return }
        let limit = sealedTotal ?? Self.maximumTasks
        var fresh = BitSet()
        for range in tasks.ranges where range.lowerBound < limit {
            fresh.insert(all: range.clamped(to: 0..<limit))
        }
        if committed[generation] == nonce {
            let known = reopened[generation]?[nonce] ?? BitSet()
            reopen(fresh.subtracting(known), generation: generation)
        }
        reopened[generation, default: [:]][nonce, default: BitSet()].formUnion(fresh)
    }

    /// Opens the tasks of a retry that the journal has committed.
    package mutating func applyCommitted(_ reopening: BatchInfo.Reopening) {
        guard committed[reopening.generation] == nil else { return }
        committed[reopening.generation] = reopening.nonce
        let tasks = reopened[reopening.generation]?[reopening.nonce] ?? BitSet()
        reopened[reopening.generation] = [reopening.nonce: tasks]
        reopen(tasks, generation: reopening.generation)
    }

    /// Returns whether all tasks of these retries were read and opened, so that the settled counts are correct.
    package func hasReopened(_ reopenings: [BatchInfo.Reopening]) -> Bool {
        reopenings.allSatisfy { reopened[$0.generation]?[$0.nonce]?.count ?? 0 >= $0.count }
    }

    /// Records that a worker leased a task by writing it to the results log.
    package mutating func applyLeased(_ lease: TaskLease) {
        let generation = generation(of: lease.index)
        // A lease of a generation not yet known to be open is kept: this reader may not have read that journal entry
        // yet.
        guard lease.generation > generation || (lease.generation == generation && !isSettled(lease.index)) else {
            return
        }
        if let old = leases[lease.index] {
            if old.id == lease.id { return }
            // A task of a bulk stays in it until it returns: what another worker was delivered is a copy.
            if old.bulk != nil, old.generation >= lease.generation, old.id != lease.predecessor { return }
        }
        removeLease(of: lease.index)
        leases.insert(lease, in: bulks.add(lease))
    }

    /// The workers that hold leases or bulks.
    package var leaseholders: Set<String> { Set(leases.workers).union(bulks.all.compactMap(\.value.worker)) }

    /// The leases of a worker that count and return to their queue one by one if the worker is lost.
    ///
    /// Those of a bulk with a memo do not: what a flow remembers of a job concerns all its tasks.
    package func leases(of worker: String) -> [TaskLease] {
        let bulked = bulks.all.filter { $0.value.worker == worker && $0.value.memo == nil }.flatMap(\.value.tasks)
        return (Array(leases.tasks(of: worker)) + bulked).compactMap { leases[$0] }.compactMap { lease in
            guard lease.generation == generation(of: lease.index) else { return nil }
            var lease = lease
            lease.worker = worker
            return lease
        }
    }

    /// Records that a leased task was returned to its queue.
    package mutating func applyReturned(lease id: String) {
        for index in leases.tasks(ofLease: id) { removeLease(of: index) }
    }

    /// Records a question or an answer, unless the task has ended.
    package mutating func applyQuestion(_ entry: QuestionEntry) {
        guard entry.id.index < sealedTotal ?? Self.maximumTasks, !hasEnded(entry.id) else { return }
        questions.apply(entry)
    }

    /// Returns whether the task that asked a question has an outcome, or was opened again after it.
    package func hasEnded(_ id: QuestionID) -> Bool {
        let generation = generation(of: id.index)
        return id.generation < generation || (id.generation == generation && isSettled(id.index))
    }

    /// Applies the entry at an offset of the results log.
    package mutating func apply(_ event: ResultEvent, at offset: Int64 = 0) {
        switch event {
        case .started(let time): applyStarted(at: time)
        case .outcomes(let outcomes, _): for outcome in outcomes { apply(outcome) }
        case .reopened(let generation, let nonce, let tasks):
            applyReopened(generation: generation, nonce: nonce, tasks: tasks)
        case .pilot(let tasks): applyPilot(tasks)
        case .twins(let list): applyTwins(list)
        case .leased(var lease):
            lease.offset = offset
            applyLeased(lease)
        case .returned(let id): applyReturned(lease: id)
        case .bulk(let event): bulks.apply(event, at: offset)
        case .question(let entry): applyQuestion(entry)
        case .delayed, .checkpoint, .unknown: break
        }
    }

    /// Applies the batch's size and generations from the journal.
    package mutating func apply(_ info: BatchInfo) {
        applyPublished(info.published)
        if let total = info.sealedTotal { applySealed(total: total) }
        for reopening in info.reopenings { applyCommitted(reopening) }
    }

    /// The state of a task in its current generation.
    package enum Standing: Sendable, Hashable {
        /// The task has no outcome.
        case open
        /// The task ended with an output.
        case succeeded
        /// The task ended with an error.
        case failed
        /// The task failed because its record could not be read.
        case invalid
    }

    /// Returns the state of the task with that index.
    package func standing(of index: Int) -> Standing {
        switch (low.contains(index), high.contains(index)) {
        case (false, false): .open
        case (true, false): .succeeded
        case (false, true): .failed
        case (true, true): .invalid
        }
    }

    private static let version: UInt8 = 4
    /// The version of a state with twins, which earlier releases cannot read.
    private static let versionWithTwins: UInt8 = 5

    /// The state as bytes for a checkpoint: runs of tasks in the same state, then the rarer parts, then a checksum.
    ///
    /// A run of up to 31 tasks takes one byte: a few bytes for most batches, and at worst about one byte per two tasks.
    package var snapshot: [UInt8] {
        var writer = SnapshotWriter()
        writer.byte(twins.isEmpty ? Self.version : Self.versionWithTwins)
        writer.number(published)
        writer.number(sealedTotal.map { $0 + 1 } ?? 0)
        writer.number(startedAt.map { Int($0.milliseconds) + 1 } ?? 0)
        writer.runs(upTo: max(low.max() ?? -1, high.max() ?? -1) + 1) { index in
            (low.contains(index) ? 1 : 0) + (high.contains(index) ? 2 : 0)
        }
        writer.list(generations.sorted { $0.key < $1.key }) { $0.numbers($1.key, $1.value) }
        writer.list(early.values.sorted { $0.index < $1.index }) { writer, outcome in
            writer.numbers(outcome.index, outcome.generation)
            writer.byte(outcome.status == .succeeded ? 1 : outcome.isInvalidRecord ? 3 : 2)
            writer.usage(outcome.usage)
        }
        writer.list(reopened.sorted { $0.key < $1.key }) { writer, entry in
            writer.number(entry.key)
            writer.list(entry.value.sorted { $0.key < $1.key }) { writer, list in
                writer.text(list.key)
                writer.runs(upTo: (list.value.max() ?? -1) + 1) { list.value.contains($0) ? 1 : 0 }
            }
        }
        writer.list(committed.sorted { $0.key < $1.key }) { writer, entry in
            writer.number(entry.key)
            writer.text(entry.value)
        }
        bulks.write(leases, to: &writer)
        questions.write(to: &writer)
        writer.usage(usage)
        writer.runs(upTo: (pilot.max() ?? -1) + 1) { pilot.contains($0) ? 1 : 0 }
        if !twins.isEmpty { writer.runs(upTo: (twins.max() ?? -1) + 1) { twins.contains($0) ? 1 : 0 } }
        return writer.finished
    }

    /// Decodes a snapshot; returns nil if the bytes are not a complete snapshot of this version.
    package init?(snapshot: [UInt8]) {
        guard var reader = SnapshotReader(snapshot) else { return nil }
        let version = reader.byte()
        guard version == Self.version || version == Self.versionWithTwins else { return nil }
        self.init()
        published = reader.number(below: Self.maximumTasks + 1)
        let total = reader.number(below: Self.maximumTasks + 2)
        sealedTotal = total > 0 ? total - 1 : nil
        let started = reader.number(below: Int.max)
        startedAt = started > 0 ? Timestamp(milliseconds: Int64(started - 1)) : nil
        reader.runs { range, state in
            if state & 1 != 0 { low.insert(all: range) }
            if state & 2 != 0 { high.insert(all: range) }
        }
        reader.list { reader in
            let index = reader.index()
            generations[index] = reader.number(below: Self.maximumTasks)
        }
        reader.list { reader in
            let (index, generation) = (reader.index(), reader.number(below: Self.maximumTasks))
            let code = reader.byte()
            early[index] = OutcomeSummary(
                index: index,
                generation: generation,
                status: code == 1 ? .succeeded : .failed,
                isInvalidRecord: code == 3,
                usage: reader.usage()
            )
        }
        reader.list { reader in
            let generation = reader.number(below: Self.maximumTasks)
            var lists: [String: BitSet] = [:]
            reader.list { reader in
                let nonce = reader.text()
                var tasks = BitSet()
                reader.runs { range, state in if state & 1 != 0 { tasks.insert(all: range) } }
                lists[nonce] = tasks
            }
            reopened[generation] = lists
        }
        reader.list { reader in
            let generation = reader.number(below: Self.maximumTasks)
            committed[generation] = reader.text()
        }
        leases = bulks.read(from: &reader)
        questions = QuestionState(from: &reader)
        usage = reader.usage()
        reader.runs { range, state in if state & 1 != 0 { pilot.insert(all: range) } }
        if version == Self.versionWithTwins {
            reader.runs { range, state in if state & 1 != 0 { twins.insert(all: range) } }
        }
        guard reader.isWhole else { return nil }
    }
}

extension BitSet {
    /// Adds a range; a union costs as much as the larger set, which pays off for long ranges only.
    fileprivate mutating func insert(all range: Range<Int>) {
        if range.count > 1 << 14 {
            formUnion(BitSet(range))
        } else {
            for number in range { insert(number) }
        }
    }
}
