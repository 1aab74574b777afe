/// The messages of a channel that the broker has not confirmed yet, in a ring indexed by their sequence number.
///
/// Each has an owner, which is told the outcome once. Confirming costs constant time per message, also when one confirm
/// covers many.
struct ConfirmTracker<Owner> {
    private var slots: [Owner?] = Array(repeating: nil, count: 64)
    /// The lowest number that may be unconfirmed.
    private var base: UInt64 = 1
    /// The number of the next message.
    private(set) var next: UInt64 = 1
    /// Where the search for the next returned message begins: the broker returns in the order of publishing.
    private var returnCursor: UInt64 = 1
    /// The number of unconfirmed messages.
    private(set) var count = 0

    /// Takes the next sequence number for a message of an owner.
    mutating func record(_ owner: Owner) -> UInt64 {
        if self.next - self.base == UInt64(self.slots.count) { self.grow() }
        self.slots[self.index(self.next)] = owner
        self.next += 1
        self.count += 1
        return self.next - 1
    }

    /// Settles a message, or with `multiple` all up to it (all at all for the number 0).
    ///
    /// - Returns: Whether the broker may say so: false if the number was never used.
    mutating func settle(_ tag: UInt64, multiple: Bool, _ body: (Owner, UInt64) -> Void) -> Bool {
        let last = tag == 0 && multiple ? self.next - 1 : tag
        guard last < self.next, last > 0 || multiple else { return false }
        guard last >= self.base else { return true }
        for number in (multiple ? self.base : last)...last {
            guard let owner = self.slots[self.index(number)].take() else { continue }
            self.count -= 1
            body(owner, number)
        }
        while self.base < self.next, self.slots[self.index(self.base)] == nil { self.base += 1 }
        return true
    }

    /// Finds the unconfirmed message that a return is about; a match is not found a second time before the others.
    mutating func matchReturn(_ matches: (Owner, UInt64) -> Bool) -> (owner: Owner, tag: UInt64)? {
        self.returnCursor = max(self.returnCursor, self.base)
        return self.search(from: self.returnCursor, to: self.next, matches)
            ?? self.search(from: self.base, to: self.returnCursor, matches)
    }

    private mutating func search(
        from start: UInt64,
        to end: UInt64,
        _ matches: (Owner, UInt64) -> Bool
    ) -> (owner: Owner, tag: UInt64)? {
        for number in start..<end {
            guard let owner = self.slots[self.index(number)], matches(owner, number) else { continue }
            self.returnCursor = number + 1
            return (owner, number)
        }
        return nil
    }

    private func index(_ tag: UInt64) -> Int { Int(tag & UInt64(self.slots.count - 1)) }

    private mutating func grow() {
        var larger: [Owner?] = Array(repeating: nil, count: self.slots.count * 2)
        for number in self.base..<self.next {
            larger[Int(number & UInt64(larger.count - 1))] = self.slots[self.index(number)]
        }
        self.slots = larger
    }
}
