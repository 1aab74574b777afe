/// The deliveries of a channel that were not settled yet, so that tags are checked before they are sent: the broker
/// answers an unknown tag by closing the channel.
struct UnsettledTags {
    /// What to send for a set of tags.
    struct Plan: Equatable {
        /// Settle all up to this one with one frame, if there is one.
        var upTo: UInt64?
        /// And these one by one, ascending.
        var single: [UInt64] = []
    }

    private enum Mark: UInt8 {
        case settled
        case delivered
        /// To be settled, but not sent yet.
        case claimed
    }

    /// The lowest tag that may be unsettled; the marks from `head` on begin with it.
    private var base: UInt64 = 1
    private var marks: [Mark] = []
    private var head = 0

    /// The number of deliveries that are not settled.
    var count: Int { self.marks[self.head...].count { $0 != .settled } }

    /// How many tags there are from the lowest unsettled one to the newest.
    var span: Int { self.marks.count - self.head }

    /// Notes a delivery; returns false if the broker gave tags out of order.
    mutating func deliver(_ tag: UInt64) -> Bool {
        guard tag == self.base + UInt64(self.marks.count - self.head) else { return false }
        self.marks.append(.delivered)
        return true
    }

    /// Marks tags as about to be settled.
    ///
    /// - Returns: A tag that was never delivered or is already claimed or settled, in which case nothing is changed.
    mutating func claim(_ tags: [UInt64]) -> UInt64? {
        for (position, tag) in tags.enumerated() {
            if let index = self.index(of: tag), self.marks[index] == .delivered {
                self.marks[index] = .claimed
                continue
            }
            for claimed in tags[..<position] {
                if let index = self.index(of: claimed) { self.marks[index] = .delivered }
            }
            return tag
        }
        return nil
    }

    /// Settles claimed tags.
    ///
    /// One frame for many is safe exactly for those below which nothing else is unsettled.
    mutating func settle(_ tags: [UInt64]) -> Plan {
        let sorted = tags.isSortedAscending ? tags : tags.sorted()
        for tag in sorted {
            if let index = self.index(of: tag) { self.marks[index] = .settled }
        }
        self.advance()
        let covered = sorted.prefix { $0 < self.base }
        guard covered.count > 1, let last = covered.last else { return Plan(upTo: nil, single: sorted) }
        return Plan(upTo: last, single: Array(sorted[covered.count...]))
    }

    /// Settles, of claimed tags in ascending order, those below which nothing else is unsettled.
    ///
    /// - Returns: The highest of them, which settles them all with one frame, and how many they are.
    mutating func settleCovered(_ tags: [UInt64]) -> (upTo: UInt64, count: Int)? {
        var count = 0
        for tag in tags {
            guard tag == self.base else { break }
            self.marks[self.head] = .settled
            self.advance()
            count += 1
        }
        return count > 0 ? (tags[count - 1], count) : nil
    }

    /// Settles everything up to a tag and returns the highest that was unsettled.
    mutating func settle(upTo tag: UInt64) -> UInt64? {
        guard tag >= self.base else { return nil }
        let last = min(tag - self.base, UInt64(self.marks.count - self.head))
        let range = self.head..<min(self.marks.count, self.head + Int(last) + 1)
        guard let highest = self.marks[range].lastIndex(where: { $0 != .settled }) else { return nil }
        for index in self.head...highest { self.marks[index] = .settled }
        let result = self.base + UInt64(highest - self.head)
        self.advance()
        return result
    }

    private func index(of tag: UInt64) -> Int? {
        guard tag >= self.base, tag - self.base < UInt64(self.marks.count - self.head) else { return nil }
        return self.head + Int(tag - self.base)
    }

    private mutating func advance() {
        while self.head < self.marks.count, self.marks[self.head] == .settled {
            self.head += 1
            self.base += 1
        }
        if self.head == self.marks.count {
            self.marks.removeAll(keepingCapacity: true)
            self.head = 0
        } else if self.head > 1024, self.head * 2 > self.marks.count {
            self.marks.removeFirst(self.head)
            self.head = 0
        }
    }
}

extension [UInt64] {
    fileprivate var isSortedAscending: Bool { zip(self, self.dropFirst()).allSatisfy { $0 < $1 } }
}
