/// Which tasks of a batch get the outcome of which other one; takes about 8 bytes per task of the batch.
///
/// Adding an entry twice has no effect. Of two entries that contradict each other, the first counts.
package struct Twins: Sendable {
    /// By the index of a twin: the index of its first.
    private var firsts = PagedIndices()
    /// By the index of a first or a twin: the index of the next twin of the same first.
    private var next = PagedIndices()
    /// The number of twins.
    package private(set) var count = 0

    package init() {}

    /// Adds a twin, unless its task or that of its first contradicts an earlier entry; returns whether it was added.
    @discardableResult
    package mutating func add(_ twin: Twin) -> Bool {
        guard firsts[twin.index] == nil, firsts[twin.first] == nil, next[twin.index] == nil else { return false }
        firsts[twin.index] = twin.first
        next[twin.index] = next[twin.first]
        next[twin.first] = twin.index
        count += 1
        return true
    }

    /// Returns the task whose outcome a task gets, or nil if the task is no twin.
    package func first(of index: Int) -> Int? { firsts[index] }

    /// Returns whether a task has twins.
    package func hasTwins(_ index: Int) -> Bool { firsts[index] == nil && next[index] != nil }

    /// Returns the twins of a task, the latest first.
    package func twins(of first: Int) -> some Sequence<Int> {
        sequence(state: hasTwins(first) ? first : nil) { current in
            current = current.flatMap { next[$0] }
            return current
        }
    }

    /// Calls the body with each twin and its first, in the order of the twins' indexes.
    package func forEach(_ body: (_ twin: Int, _ first: Int) -> Void) { firsts.forEach(body) }
}

/// An index for some of the indexes below ``BatchState/maximumTasks``, in pages that exist once they are needed.
private struct PagedIndices: Sendable {
    private static let pageSize = 4096
    /// Each element is an index plus 1, or 0 if there is none.
    private var pages: [[UInt32]] = []

    subscript(_ index: Int) -> Int? {
        get {
            let page = index / Self.pageSize
            guard page < pages.count, !pages[page].isEmpty else { return nil }
            let value = pages[page][index % Self.pageSize]
            return value == 0 ? nil : Int(value) - 1
        }
        set {
            let page = index / Self.pageSize
            if page >= pages.count { pages += repeatElement([], count: page + 1 - pages.count) }
            if pages[page].isEmpty { pages[page] = [UInt32](repeating: 0, count: Self.pageSize) }
            pages[page][index % Self.pageSize] = newValue.map { UInt32($0 + 1) } ?? 0
        }
    }

    func forEach(_ body: (_ index: Int, _ value: Int) -> Void) {
        for (page, values) in pages.enumerated() {
            for (position, value) in values.enumerated() where value > 0 {
                body(page * Self.pageSize + position, Int(value) - 1)
            }
        }
    }
}
