import SheafCore
import SheafDispatch
import SheafFormats
import SheafSources

/// Adds the requests of many callers to a queue, those of one moment at once, so that they share its round trips.
///
/// One addition runs at a time, and those that come meanwhile form the next one.
actor RequestCollector {
    /// What one caller adds.
    private struct Entry: Sendable {
        let requests: [Record]
        /// Whether the ids were chosen by the sender, so that it may send them again.
        let isNamed: Bool
        let done: AsyncThrowingStream<Bool, any Error>.Continuation

        var size: Int { requests.reduce(0) { $0 + $1.bytes.count } }
    }

    private let queue: any RequestQueue
    private var pending: [Entry] = []
    private var pendingBytes = 0
    private var isAdding = false

    /// How many requests and bytes one addition has, about.
    private static let mostRequests = 5_000
    private static let mostBytes = 8 << 20
    /// How many bytes and callers may wait.
    private static let mostPendingBytes = 64 << 20
    private static let mostPending = 20_000

    init(queue: any RequestQueue) { self.queue = queue }

    /// How many callers wait for the next addition.
    var waiting: Int { pending.count }

    /// Adds requests; returns once all of them are stored.
    ///
    /// - Returns: Whether the queue had all of them before.
    /// - Throws: `RequestConflict`, `Problem` with `blocked` if too much waits, and the errors of the queue.
    func add(_ requests: [Record], isNamed: Bool) async throws -> Bool {
        let (stream, done) = AsyncThrowingStream<Bool, any Error>.makeStream()
        let entry = Entry(requests: requests, isNamed: isNamed, done: done)
        guard pending.count < Self.mostPending, pendingBytes + entry.size <= Self.mostPendingBytes else {
            throw Problem(.blocked, "too many requests wait to be stored; try again", advice: .tryLater)
        }
        pending.append(entry)
        pendingBytes += entry.size
        if !isAdding {
            isAdding = true
            Task { await self.addAll() }
        }
        for try await isRepeat in stream { return isRepeat }
        throw CancellationError()
    }

    private func addAll() async {
        while !pending.isEmpty {
            var (count, bytes, entries) = (0, 0, 0)
            while entries < pending.count, count < Self.mostRequests, bytes < Self.mostBytes {
                count += pending[entries].requests.count
                bytes += pending[entries].size
                entries += 1
            }
            let group = Array(pending.prefix(entries))
            pending.removeFirst(entries)
            pendingBytes -= bytes
            await add(group)
        }
        isAdding = false
    }

    /// Adds what is new in a group, and refuses what contradicts earlier requests.
    private func add(_ group: [Entry]) async {
        do {
            let named = group.filter(\.isNamed).flatMap(\.requests)
            var findings: [RequestRepeat] = []
            if !named.isEmpty, let queue = queue as? any SearchableRequestQueue {
                findings = try await queue.repeats(of: named)
            }
            var review = Review(findings: findings[...])
            var new: [Entry] = []
            var repeats: [Entry] = []
            for entry in group {
                switch review.review(entry) {
                case .success(let rest) where rest.isEmpty: repeats.append(entry)
                case .success(let rest): new.append(Entry(requests: rest, isNamed: true, done: entry.done))
                case .failure(let conflict): entry.done.finish(throwing: conflict)
                }
            }
            var isFull = false
            try await store(new[...], &isFull)
            // Only now: a repeat of a request of this group is stored with it.
            for entry in repeats { entry.done.yield(true) }
        } catch {
            for entry in group { entry.done.finish(throwing: error) }
        }
    }

    /// Stores entries; if not all of them may wait in the queue, the first ones that may.
    private func store(_ entries: ArraySlice<Entry>, _ isFull: inout Bool) async throws {
        guard !entries.isEmpty else { return }
        do {
            try await queue.add(entries.flatMap(\.requests))
            for entry in entries { entry.done.yield(false) }
        } catch let error as RequestQueueError where error.code == .full {
            if entries.count == 1 || isFull {
                isFull = true
                for entry in entries { entry.done.finish(throwing: error) }
                return
            }
            let middle = entries.startIndex + entries.count / 2
            try await store(entries[..<middle], &isFull)
            try await store(entries[middle...], &isFull)
        }
    }

    /// Finds what is new in the entries of a group.
    private struct Review {
        /// What the queue says about the named requests, in order.
        var findings: ArraySlice<RequestRepeat>
        private var seen: [String: Record] = [:]

        init(findings: ArraySlice<RequestRepeat>) { self.findings = findings }

        mutating func review(_ entry: Entry) -> Result<[Record], RequestConflict> {
            guard entry.isNamed else { return .success(entry.requests) }
            // A queue that cannot be searched says nothing, and recognizes repeats itself.
            let known = findings.prefix(entry.requests.count)
            findings = findings.dropFirst(entry.requests.count)
            var mine: [String: Record] = [:]
            var new: [Record] = []
            for (index, request) in entry.requests.enumerated() {
                let finding = index < known.count ? known[known.startIndex + index] : .new
                let earlier = mine[request.id] ?? seen[request.id]
                if finding == .other || earlier.map({ $0 != request }) == true {
                    return .failure(RequestConflict(id: request.id))
                }
                if finding == .new, earlier == nil { new.append(request) }
                mine[request.id] = request
            }
            seen.merge(mine) { first, _ in first }
            return .success(new)
        }
    }
}

/// An earlier request with the same id has other content.
struct RequestConflict: Error {
    let id: String
}
