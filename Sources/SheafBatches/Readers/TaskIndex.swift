import SheafBroker
import SheafCore

/// Which tasks of one batch are in which state, and where to find what is known of them.
///
/// It reads the results log once, and later only what was appended since. It takes 1 byte and 2 bits of memory per task
/// and about 200 bytes on disk; see ``TaskRowFile``. A batch
/// with identical records takes 8 bytes more.
actor TaskIndex {
    private let client: SheafClient
    private let batch: Name
    /// The present state of the batch in the journal.
    private let find: @Sendable () async throws -> BatchInfo
    /// The tasks that heartbeats name.
    private let running: @Sendable () -> Set<Int>

    private var info: BatchInfo
    private var fold = BatchState()
    private var twins = Twins()
    private var nextOffset: Int64 = 0
    private var rows: TaskRowFile
    private var patterns = ErrorPatterns()
    /// The number of each task's error group; it counts while the task is failed.
    private var groups: [UInt8] = []
    private var known = 0
    private var reading: Task<Void, any Error>?
    private var readAt: ContinuousClock.Instant?

    /// How long an index is current enough: on RabbitMQ, asking for the end of a log appends a mark.
    private static let freshness = Duration.seconds(1)
    /// How long to wait for the journal if the results log is ahead of it.
    private static let patience = Duration.seconds(5)
    /// How much a page may cost: looking at a task costs 1, and reading its line 64.
    private static let budget = 64 * 100_000

    init(
        client: SheafClient,
        info: BatchInfo,
        find: @escaping @Sendable () async throws -> BatchInfo,
        running: @escaping @Sendable () -> Set<Int>
    ) throws {
        self.client = client
        self.batch = info.id
        self.info = info
        self.find = find
        self.running = running
        rows = try TaskRowFile()
        fold.apply(info)
    }

    // MARK: Reading the log

    /// Reads what was appended since; callers at the same time share one reading.
    func refresh() async throws {
        if let reading { return try await reading.value }
        if let readAt, readAt.duration(to: .now) < Self.freshness { return }
        let task = Task { try await self.read() }
        reading = task
        defer { reading = nil }
        try await task.value
    }

    private func read() async throws {
        try await update()
        let log = client.names.results(batch: batch)
        do {
            var end = info.ending?.endOffset
            if end == nil { end = try await retrying(for: .seconds(15)) { try await client.broker.endOffset(of: log) } }
            guard let end else { throw BatchResults.gone(batch) }
            // Outcomes after the end of a batch do not count, but were read before the end was known.
            if nextOffset > end { try reset() }
            if nextOffset < end {
                try await client.broker.follow(log, from: .offset(nextOffset)) { chunk in
                    for entry in chunk.entries where entry.offset < end && entry.offset >= self.nextOffset {
                        try await self.add(entry)
                        self.nextOffset = entry.offset + 1
                    }
                    self.nextOffset = max(self.nextOffset, min(chunk.nextOffset, end))
                    return chunk.nextOffset < end
                }
            }
        } catch let error as BrokerError where error.code == .notFound || error.code == .queueGone {
            throw BatchResults.gone(batch)
        }
        readAt = .now
    }

    private func update() async throws {
        info = try await find()
        fold.apply(info)
    }

    private func reset() throws {
        rows = try TaskRowFile()
        (fold, twins) = (BatchState(), Twins())
        fold.apply(info)
        (nextOffset, groups, known, patterns) = (0, [], 0, ErrorPatterns())
    }

    private func add(_ entry: LogEntry) async throws {
        guard entry.message.type == ResultMessage.outcomesType else {
            let event = ResultEvent(entry.message)
            if case .twins(let list) = event { for twin in list { twins.add(twin) } }
            return fold.apply(event, at: entry.offset)
        }
        let lines = ResultMessage.summarizedLines(of: entry.message)
        let newest = lines.lazy.map(\.summary.generation).max() ?? 0
        if newest > info.generation { try await awaitJournal(newest) }
        for (summary, range) in lines {
            let counts = fold.apply(summary)
            guard counts || (summary.status == .cancelled && isOpen(summary.index)) else { continue }
            let line = Array(entry.message.body[range])
            try rows.add(line, index: summary.index, at: entry.offset)
            try note(summary, line)
        }
    }

    /// The journal has the retry whose outcomes are in the results log already, but this process may not have read it.
    private func awaitJournal(_ generation: Int) async throws {
        let deadline = ContinuousClock.now + Self.patience
        while info.generation < generation, ContinuousClock.now < deadline {
            try await update()
            if info.generation < generation { try await Task.sleep(for: .milliseconds(20)) }
        }
    }

    private func note(_ summary: OutcomeSummary, _ line: [UInt8]) throws {
        let index = summary.index
        known = max(known, index + 1)
        var number = ErrorPatterns.none
        if summary.status == .failed, let row = try rows.row(of: index), let error = row.outcome.error {
            number = patterns.number(type: error.type, message: error.message)
        }
        if index >= groups.count {
            if number == ErrorPatterns.none { return }
            groups += repeatElement(ErrorPatterns.none, count: max(index + 1, min(total, 2 * index)) - groups.count)
        }
        groups[index] = number
    }

    // MARK: Looking

    private var total: Int { info.sealedTotal ?? max(info.published, known) }

    private func isOpen(_ index: Int) -> Bool { index < total && !fold.isSettled(index) }

    private func status(of index: Int, _ running: Set<Int>) -> TaskRow.Status {
        switch fold.standing(of: index) {
        case .succeeded: .succeeded
        case .failed, .invalid: .failed
        case .open:
            if info.ending == nil, running.contains(index) || fold.leases[index] != nil {
                .running
            } else if info.cancelled != nil {
                .cancelled
            } else {
                .pending
            }
        }
    }

    /// The tasks after an index that match a query.
    func page(_ query: TaskQuery, after: Int, limit: Int) throws -> TaskPage {
        let total = total
        var page = TaskPage(rows: [], next: nil, total: total)
        let running = running()
        guard let mayMatch = groupsThatMayMatch(query) else { return page }
        let needle = query.text.map(Needle.init)
        var cost = 0
        var index = max(after, -1) + 1
        while index < total {
            if page.rows.count >= limit || cost >= Self.budget {
                page.next = index - 1
                break
            }
            defer { index += 1 }
            cost += 1
            if !mayMatch[index < groups.count ? Int(groups[index]) : 0] { continue }
            let status = status(of: index, running)
            if query.isAboutFailures, status != .failed { continue }
            if !query.statuses.isEmpty, !query.statuses.contains(status) { continue }
            cost += 64
            guard let row = try row(index, status, needle) else { continue }
            if let type = query.errorType, row.outcome?.error?.type != type { continue }
            page.rows.append(row)
        }
        return page
    }

    /// The indexes of all tasks that match a query.
    func indexes(_ query: TaskQuery) async throws -> IndexRanges {
        var found = IndexRanges()
        var next: Int? = -1
        while let after = next {
            try Task.checkCancellation()
            let page = try page(query, after: after, limit: .max)
            for row in page.rows { found.append(row.index) }
            next = page.next
            await Task.yield()
        }
        return found
    }

    /// By the number of a group: whether its tasks may match a query; nil if the query names a group without tasks.
    private func groupsThatMayMatch(_ query: TaskQuery) -> [Bool]? {
        var wanted: UInt8?
        if let id = query.group {
            guard let number = patterns.number(id: id) else { return nil }
            wanted = number
        }
        return (0...ErrorPatterns.other).map { number in
            if number == ErrorPatterns.none { return !query.isAboutFailures }
            if let wanted, wanted != number { return false }
            return query.errorType.map { patterns.mayHave($0, number) } ?? true
        }
    }

    /// Returns the row of a task, or nil if it does not contain the text.
    private func row(_ index: Int, _ status: TaskRow.Status, _ needle: Needle?) throws -> TaskRow? {
        let bytes = try rows.bytes(of: index)
        if let needle, bytes.map(needle.mayBe(in:)) != true { return nil }
        let outcome = bytes.flatMap { TaskRowFile.decode($0)?.outcome }
        if let needle, let outcome, !needle.isIn(outcome) { return nil }
        return TaskRow(
            index: index,
            status: status,
            generation: fold.generation(of: index),
            outcome: outcome,
            sameAs: twins.first(of: index)
        )
    }

    /// The groups of the failed tasks, the largest first.
    func errorGroups() throws -> [ErrorGroup] {
        var counts = [(count: Int, first: Int)](repeating: (0, 0), count: Int(ErrorPatterns.other) + 1)
        for (index, number) in groups.enumerated() where number != ErrorPatterns.none {
            switch fold.standing(of: index) {
            case .failed, .invalid:
                if counts[Int(number)].count == 0 { counts[Int(number)].first = index }
                counts[Int(number)].count += 1
            case .open, .succeeded: continue
            }
        }
        return try counts.enumerated().filter { $0.element.count > 0 }.map { number, found in
            var group = ErrorGroup(
                id: ErrorPatterns.otherID,
                example: patterns.otherExample,
                count: found.count,
                first: found.first,
                firstRecord: try rows.row(of: found.first)?.outcome.recordID
            )
            if number <= patterns.patterns.count {
                let (pattern, id, example) = patterns.patterns[number - 1]
                (group.id, group.type, group.pattern, group.example) = (id, pattern.type, pattern.message, example)
            }
            return group
        }
        .sorted { ($1.count, $0.first) < ($0.count, $1.first) }
    }

    /// The tasks of a record, at most 100, in the order of their indexes.
    func indices(ofRecord id: String) throws -> [Int] { try rows.indices(ofRecord: id, limit: 100) }

    // MARK: One task

    /// A task in full; throws `notFound` if the batch has no such task.
    func task(_ index: Int) async throws -> TaskDetail {
        guard (0..<total).contains(index) else {
            throw SheafError(.notFound, "batch '\(batch)' has no task \(index): it has \(total) tasks, numbered from 0")
        }
        let row = TaskRow(
            index: index,
            status: status(of: index, running()),
            generation: fold.generation(of: index),
            outcome: try rows.row(of: index)?.outcome,
            sameAs: twins.first(of: index)
        )
        var entries: [(offset: Int64, generation: Int)] = []
        var line = try rows.row(of: index)
        while let found = line, entries.count < 20 {
            entries.append((found.offset, found.outcome.generation))
            line = try found.previous.flatMap { try rows.row(at: $0) }
        }
        var outcomes: [Outcome] = []
        for entry in entries.reversed() {
            let outcome = try await outcome(of: index, entry.generation, at: entry.offset)
            if let outcome { outcomes.append(outcome) }
        }
        return TaskDetail(
            row: row,
            outcome: outcomes.last,
            attempts: outcomes.flatMap(Self.attempts),
            record: outcomes.last { $0.record != nil }?.record
        )
    }

    private func outcome(of index: Int, _ generation: Int, at offset: Int64) async throws -> Outcome? {
        var found: Outcome?
        let log = client.names.results(batch: batch)
        do {
            try await client.broker.entries(of: log, from: .offset(offset), upTo: offset + 1) { entry in
                let lines = ResultMessage.summarizedLines(of: entry.message)
                let match = lines.first { $0.summary.index == index && $0.summary.generation == generation }
                found = match.flatMap { try? Outcome(line: Array(entry.message.body[$0.line])) }
            }
        } catch let error as BrokerError where error.code == .notFound || error.code == .queueGone {
            throw BatchResults.gone(batch)
        }
        return found
    }

    private static func attempts(of outcome: Outcome) -> [TaskAttempt] {
        let isFailed = outcome.status != .succeeded
        let earlier = outcome.errors.filter { !isFailed || $0.attempt < outcome.attempts }
        let last = TaskAttempt(
            generation: outcome.generation,
            attempt: outcome.attempts,
            status: outcome.status,
            error: outcome.error,
            startedAt: outcome.startedAt,
            finishedAt: outcome.finishedAt,
            worker: outcome.worker
        )
        return earlier.map { error in
            TaskAttempt(
                generation: outcome.generation,
                attempt: error.attempt,
                status: .failed,
                error: Outcome.Failure(type: error.type, message: error.message),
                finishedAt: error.at,
                worker: error.worker
            )
        } + [last]
    }
}

/// A text to search for, regardless of the case of ASCII letters.
private struct Needle {
    private let text: [UInt8]
    private let escaped: [UInt8]

    init(_ text: String) {
        self.text = text.utf8.map(Self.lower)
        var written: [UInt8] = []
        JSON.write(text, to: &written)
        escaped = written.dropFirst().dropLast().map(Self.lower)
    }

    /// Whether a line of JSON may contain the text in one of its strings.
    func mayBe(in line: [UInt8]) -> Bool { Self.contains(line, escaped) }

    /// Whether the record's id or the error message contains the text.
    func isIn(_ outcome: Outcome) -> Bool {
        Self.contains(Array(outcome.recordID.utf8), text)
            || outcome.error.map { Self.contains(Array($0.message.utf8), text) } == true
    }

    private static func contains(_ bytes: [UInt8], _ wanted: [UInt8]) -> Bool {
        guard let first = wanted.first else { return true }
        guard bytes.count >= wanted.count else { return false }
        return bytes.withUnsafeBufferPointer { bytes in
            for start in 0...(bytes.count - wanted.count) where lower(bytes[start]) == first {
                if (1..<wanted.count).allSatisfy({ lower(bytes[start + $0]) == wanted[$0] }) { return true }
            }
            return false
        }
    }

    private static func lower(_ byte: UInt8) -> UInt8 { byte &- 0x41 < 26 ? byte | 0x20 : byte }
}
