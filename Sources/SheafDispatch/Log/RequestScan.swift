import SheafBroker
import SheafCore

/// What the logs of requests hold: how many requests of each key wait, and since when.
///
/// Reads each request once, in order. The scan of a process that decides needs memory for each key and each batch that
/// is ready. The scan of one that only observes needs 40 bytes for each waiting request, so that it can follow the
/// decisions of others without reading again.
struct RequestScan {
    /// When a group has enough requests.
    struct Limits: Equatable {
        var count = Int.max
        var bytes = Int.max
        /// Whether other processes decide.
        var isObserving = false

        static let observing = Limits(isObserving: true)
    }

    /// Consecutive waiting requests of one key.
    struct Group {
        let first: RequestPosition
        var end: RequestPosition
        var count: Int
        var bytes: Int
        var oldest: Timestamp
        /// Whether it has enough requests, so that later ones belong to the next group.
        var isClosed = false
    }

    /// The number of requests and bytes in a log so far.
    struct Size {
        var count = 0
        var bytes = 0
    }

    let limits: Limits
    /// The position of the next request to read.
    private(set) var next: RequestPosition
    private(set) var sizes: [Int: Size] = [:]
    private var groups: [String?: [Group]] = [:]
    /// The keys of closed groups, oldest first.
    private var ready: [String?] = []
    private var total = WaitingRequests()
    private var observed: [String?: WaitingLine] = [:]
    /// The newest requests.
    private(set) var window: RepeatWindow
    private var repeats: [Int: RangeSet<Int64>] = [:]
    private var conflicts: [Int: RangeSet<Int64>] = [:]

    init(from log: Int, limits: Limits, window: RepeatWindow = RepeatWindow()) {
        next = RequestPosition(log: log, offset: 0)
        self.limits = limits
        self.window = window
    }

    /// How many groups have enough requests.
    var readyCount: Int { ready.count }

    /// What waits.
    var waiting: WaitingRequests {
        var waiting = total
        waiting.oldest =
            limits.isObserving
            ? observed.values.lazy.compactMap(\.oldest).min()
            : groups.values.lazy.compactMap { groups in groups.map(\.oldest).min() }.min()
        return waiting
    }

    /// How many requests wait.
    var waitingCount: Int { total.count }

    /// Whether a request of a log before this one waits.
    func waits(upTo log: Int) -> Bool {
        next.log <= log || groups.values.contains { $0.contains { $0.first.log <= log } }
    }

    /// Continues at an offset of the log, after entries that are no requests.
    mutating func pass(to offset: Int64) { next.offset = max(next.offset, offset) }

    /// Continues with the next log.
    mutating func passLog() {
        next = RequestPosition(log: next.log + 1, offset: 0)
        // Repeats are needed as long as the requests are.
    }

    /// Forgets logs that are deleted.
    mutating func forget(before log: Int) {
        sizes = sizes.filter { $0.key >= log }
        repeats = repeats.filter { $0.key >= log }
        conflicts = conflicts.filter { $0.key >= log }
    }

    /// Reads the request at the next position or later in this log.
    ///
    /// - Parameters:
    ///   - offset: Its offset.
    ///   - request: The request.
    ///   - time: When it was sent.
    ///   - key: The field that keeps requests apart.
    ///   - start: Returns the position before which requests of a key are in batches.
    mutating func add(
        at offset: Int64,
        _ request: Record,
        time: Timestamp,
        key: RequestKey?,
        start: (String?) -> RequestPosition
    ) {
        let position = RequestPosition(log: next.log, offset: offset)
        next.offset = offset + 1
        sizes[position.log, default: Size()].count += 1
        sizes[position.log, default: Size()].bytes += request.bytes.count
        let value = key.flatMap { try? $0.value(of: request).get() }
        switch window.note(request, at: position, key: value) {
        case .new: break
        case .other: conflicts[position.log, default: RangeSet()].insert(contentsOf: offset..<offset + 1)
        case .same:
            repeats[position.log, default: RangeSet()].insert(contentsOf: offset..<offset + 1)
            return
        }
        if position < start(value) { return }
        total.count += 1
        total.bytes += request.bytes.count
        if limits.isObserving {
            observed[value, default: WaitingLine()].append(position, bytes: request.bytes.count, time: time)
        } else {
            append(position, bytes: request.bytes.count, time: time, to: value)
        }
    }

    private mutating func append(_ position: RequestPosition, bytes: Int, time: Timestamp, to key: String?) {
        let end = RequestPosition(log: position.log, offset: position.offset + 1)
        var list = groups.removeValue(forKey: key) ?? []
        if let last = list.indices.last, !list[last].isClosed, list[last].bytes + bytes > limits.bytes {
            list[last].isClosed = true
            ready.append(key)
        }
        if let last = list.indices.last, !list[last].isClosed {
            list[last].count += 1
            list[last].bytes += bytes
            list[last].end = end
            list[last].oldest = min(list[last].oldest, time)
        } else {
            list.append(Group(first: position, end: end, count: 1, bytes: bytes, oldest: time))
        }
        if let last = list.indices.last, list[last].count >= limits.count || list[last].bytes >= limits.bytes {
            list[last].isClosed = true
            ready.append(key)
        }
        groups[key] = list
    }

    // MARK: Groups

    /// Returns the first group of the first key that has enough requests, or is old enough, or is to be flushed.
    func due(before time: Timestamp, flushed: RequestPosition) -> (key: String?, group: Group)? {
        if let key = ready.first, let group = groups[key]?.first { return (key, group) }
        for (key, list) in groups {
            guard let group = list.first, group.oldest <= time || group.first < flushed else { continue }
            return (key, group)
        }
        return nil
    }

    /// Closes the first group of a key, so that it stays as it is.
    mutating func close(_ key: String?) {
        guard let group = groups[key]?.first, !group.isClosed else { return }
        groups[key]?[0].isClosed = true
        ready.append(key)
    }

    /// Removes the first group of a key, which is in a batch now.
    mutating func remove(_ key: String?) {
        guard let group = groups[key]?.first else { return }
        total.count -= group.count
        total.bytes -= group.bytes
        if group.isClosed, let index = ready.firstIndex(of: key) { ready.remove(at: index) }
        groups[key]?.removeFirst()
        if groups[key]?.isEmpty == true { groups[key] = nil }
    }

    /// Removes the requests of a key that another process has put into a batch.
    mutating func remove(_ key: String?, before end: RequestPosition) {
        guard var line = observed.removeValue(forKey: key) else { return }
        let (count, bytes) = line.remove(before: end)
        total.count -= count
        total.bytes -= bytes
        if !line.isEmpty { observed[key] = line }
    }

    // MARK: Repeats

    /// Whether the request at a position is a repeat.
    func isRepeat(_ position: RequestPosition) -> Bool { repeats[position.log]?.contains(position.offset) == true }

    /// Whether the request at a position has the id of another one.
    func isConflict(_ position: RequestPosition) -> Bool { conflicts[position.log]?.contains(position.offset) == true }
}

/// The waiting requests of one key, in order, as a process that observes knows them.
private struct WaitingLine {
    private struct Item {
        let position: RequestPosition
        let bytes: Int
        let time: Timestamp
    }

    private var items: [Item] = []
    /// The number of items that were removed and are still stored.
    private var removed = 0
    /// When the oldest was sent; nil if there is none.
    private(set) var oldest: Timestamp?

    var isEmpty: Bool { removed == items.count }

    mutating func append(_ position: RequestPosition, bytes: Int, time: Timestamp) {
        items.append(Item(position: position, bytes: bytes, time: time))
        oldest = oldest.map { min($0, time) } ?? time
    }

    mutating func remove(before end: RequestPosition) -> (count: Int, bytes: Int) {
        let first = removed
        var bytes = 0
        while removed < items.count, items[removed].position < end {
            bytes += items[removed].bytes
            removed += 1
        }
        let count = removed - first
        if removed > items.count / 2 {
            items.removeFirst(removed)
            removed = 0
        }
        oldest = items[removed...].lazy.map(\.time).min()
        return (count, bytes)
    }
}
