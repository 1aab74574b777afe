package import OrderedCollections
package import SheafCore

/// What the log of decisions says: which logs of requests there are, and which requests are in which batch.
///
/// A pure fold: the first decision about requests counts, and one that contradicts it is ignored.
package struct DispatchState: Sendable, Equatable {
    /// The field that keeps requests apart, by the number of the log.
    private var keys: [Int: String?] = [:]
    /// The log that accepts requests, or 0 if there is none yet.
    package private(set) var current = 0
    /// The oldest log that may still be needed.
    package private(set) var oldest = 1
    /// The cuts whose batches are not confirmed, oldest first.
    package private(set) var unfinished: OrderedDictionary<Name, Cut> = [:]
    /// The newest cuts whose batches are confirmed, oldest first, and all of those whose requests are in a log.
    package private(set) var finished: [Cut] = []
    /// The requests before this position are due.
    package private(set) var flushed = RequestPosition(log: 0, offset: 0)
    private var starts: [String?: RequestPosition] = [:]
    /// How many cuts there were and how many of their batches are confirmed.
    package private(set) var decided = 0

    /// How many finished cuts are kept although their logs are deleted.
    package static let history = 1000

    package init() {}

    /// The field that keeps the requests of a log apart.
    package func key(of log: Int) -> RequestKey? { (keys[log] ?? nil).map { RequestKey($0) } }

    /// Where the next cut of a key begins.
    package func start(of key: String?) -> RequestPosition {
        max(starts[key] ?? RequestPosition(log: 0, offset: 0), RequestPosition(log: oldest, offset: 0))
    }

    /// Returns where a request is; nil if it is in a batch of long ago.
    package func place(of position: RequestPosition, key: String?) -> RequestPlace? {
        guard position < start(of: key) else { return .waiting }
        func isMember(_ cut: Cut) -> Bool { cut.key == key && cut.start <= position && position < cut.end }
        return (unfinished.values.first(where: isMember) ?? finished.last(where: isMember)).map { .batch($0.batch) }
    }

    /// Applies an entry; returns whether it changed anything.
    @discardableResult
    package mutating func apply(_ entry: DispatchEntry) -> Bool {
        switch entry {
        case .opened(let log, let key):
            guard log == current + 1 else { return false }
            current = log
            keys[log] = key
        case .cut(let cut):
            guard cut.start == start(of: cut.key), cut.end.log <= current, unfinished[cut.batch] == nil else {
                return false
            }
            unfinished[cut.batch] = cut
            starts[cut.key] = cut.end
            decided += 1
        case .dispatched(let batch):
            guard let cut = unfinished.removeValue(forKey: batch) else { return false }
            finished.append(cut)
            decided += 1
        case .flushed(let position):
            guard position > flushed else { return false }
            flushed = position
        case .deleted(let log):
            guard log >= oldest, log < current, !unfinished.values.contains(where: { $0.start.log <= log }) else {
                return false
            }
            oldest = log + 1
            keys = keys.filter { $0.key > log }
            starts = starts.filter { $0.value.log > log }
            let old = finished.prefix { $0.end.log <= log }.count
            finished.removeFirst(max(0, min(old, finished.count - Self.history)))
        }
        return true
    }
}
