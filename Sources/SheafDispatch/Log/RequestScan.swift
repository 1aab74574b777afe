import SheafBroker
import SheafCore

/// What the logs of requests hold: how many requests of each key wait, and since when.
///
/// Reads each request once, in order, and needs memory for each key and each batch that is ready, not for each request.
struct RequestScan {
    /// When a group has enough requests.
    struct Limits: Equatable {
        var count = Int.max
        var bytes = Int.max
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
    private var window: RepeatWindow
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
        waiting.oldest = groups.values.lazy.compactMap { groups in groups.map(\.oldest).min() }.min()
        return waiting
    }

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
        switch window.note(request) {
        case .new: break
        case .other: conflicts[position.log, default: RangeSet()].insert(contentsOf: offset..<offset + 1)
        case .same:
            repeats[position.log, default: RangeSet()].insert(contentsOf: offset..<offset + 1)
            return
        }
        let value = key.flatMap { try? $0.value(of: request).get() }
        if position < start(value) { return }
        total.count += 1
        total.bytes += request.bytes.count
        append(position, bytes: request.bytes.count, time: time, to: value)
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

    // MARK: Repeats

    /// Whether the request at a position is a repeat.
    func isRepeat(_ position: RequestPosition) -> Bool { repeats[position.log]?.contains(position.offset) == true }

    /// Whether the request at a position has the id of another one.
    func isConflict(_ position: RequestPosition) -> Bool { conflicts[position.log]?.contains(position.offset) == true }
}
