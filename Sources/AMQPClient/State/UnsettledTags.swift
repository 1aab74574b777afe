/// The unsettled deliveries of a channel, against which tags are checked before they are sent.
///
/// The broker closes the channel if it receives an unknown tag.
struct UnsettledTags {
    /// The frames to send for a set of tags.
    struct Plan: Equatable {
        /// The tag up to which one frame settles all, if any.
        var upTo: UInt64?
        /// The tags to settle one by one, ascending.
        var single: [UInt64] = []
    }

    private enum Mark: UInt8 {
        case settled
        case delivered
        /// About to be settled, but not sent yet.
        case claimed
    }

    /// The lowest tag that may be unsettled; the marks from `head` on begin with it.
    private var base: UInt64 = 1
    private var marks: [Mark] = []
    private var head = 0

    /// The number of unsettled deliveries.
    var count: Int { marks[head...].count { $0 != .settled } }

    /// The number of tags from the lowest unsettled one to the newest.
    var span: Int { marks.count - head }

    /// Records a delivery; returns false if the broker sent tags out of order.
    mutating func deliver(_ tag: UInt64) -> Bool {
        guard tag == base + UInt64(marks.count - head) else { return false }
        marks.append(.delivered)
        return true
    }

    /// Marks tags as about to be settled.
    ///
    /// - Returns: A tag that was never delivered or is already claimed or settled, in which case nothing has changed.
    mutating func claim(_ tags: [UInt64]) -> UInt64? {
        for (position, tag) in tags.enumerated() {
            if let index = index(of: tag), marks[index] == .delivered {
                marks[index] = .claimed
                continue
            }
            for claimed in tags[..<position] {
                if let index = index(of: claimed) { marks[index] = .delivered }
            }
            return tag
        }
        return nil
    }

    /// Settles claimed tags.
    ///
    /// One frame may settle several tags only if no other tag below them is unsettled.
    mutating func settle(_ tags: [UInt64]) -> Plan {
        let sorted = tags.isSortedAscending ? tags : tags.sorted()
        for tag in sorted {
            if let index = index(of: tag) { marks[index] = .settled }
        }
        advance()
        let covered = sorted.prefix { $0 < base }
        guard covered.count > 1, let last = covered.last else { return Plan(upTo: nil, single: sorted) }
        return Plan(upTo: last, single: Array(sorted[covered.count...]))
    }

    /// Settles those of the claimed tags, given in ascending order, below which nothing else is unsettled.
    ///
    /// - Returns: The highest of them, which settles all of them with one frame, and their number.
    mutating func settleCovered(_ tags: [UInt64]) -> (upTo: UInt64, count: Int)? {
        var count = 0
        for tag in tags {
            guard tag == base else { break }
            marks[head] = .settled
            advance()
            count += 1
        }
        return count > 0 ? (tags[count - 1], count) : nil
    }

    /// Settles everything up to a tag and returns the highest tag that was unsettled.
    mutating func settle(upTo tag: UInt64) -> UInt64? {
        guard tag >= base else { return nil }
        let last = min(tag - base, UInt64(marks.count - head))
        let range = head..<min(marks.count, head + Int(last) + 1)
        guard let highest = marks[range].lastIndex(where: { $0 != .settled }) else { return nil }
        for index in head...highest { marks[index] = .settled }
        let result = base + UInt64(highest - head)
        advance()
        return result
    }

    private func index(of tag: UInt64) -> Int? {
        guard tag >= base, tag - base < UInt64(marks.count - head) else { return nil }
        return head + Int(tag - base)
    }

    private mutating func advance() {
        while head < marks.count, marks[head] == .settled {
            head += 1
            base += 1
        }
        if head == marks.count {
            marks.removeAll(keepingCapacity: true)
            head = 0
        } else if head > 1024, head * 2 > marks.count {
            marks.removeFirst(head)
            head = 0
        }
    }
}

extension [UInt64] {
    fileprivate var isSortedAscending: Bool { zip(self, dropFirst()).allSatisfy { $0 < $1 } }
}
