/// The unconfirmed messages of a channel, in a ring buffer indexed by their sequence number.
///
/// Each has an owner, which is notified of the outcome once. Confirming takes constant time per message, also if one
/// confirm covers many messages.
struct ConfirmTracker<Owner> {
    private var slots: [Owner?] = Array(repeating: nil, count: 64)
    /// The lowest number that may be unconfirmed.
    private var base: UInt64 = 1
    /// The sequence number of the next message.
    private(set) var next: UInt64 = 1
    /// The start of the search for the next returned message: the broker returns messages in the order of publishing.
    private var returnCursor: UInt64 = 1
    /// The number of unconfirmed messages.
    private(set) var count = 0

    /// Assigns the next sequence number to a message of an owner.
    mutating func record(_ owner: Owner) -> UInt64 {
        if next - base == UInt64(slots.count) { grow() }
        slots[index(next)] = owner
        next += 1
        count += 1
        return next - 1
    }

    /// Settles a message, or with `multiple` all messages up to it (all messages if the number is 0).
    ///
    /// - Returns: False if the number was never used, which is a protocol violation by the broker.
    mutating func settle(_ tag: UInt64, multiple: Bool, _ body: (Owner, UInt64) -> Void) -> Bool {
        let last = tag == 0 && multiple ? next - 1 : tag
        guard last < next, last > 0 || multiple else { return false }
        guard last >= self.base else { return true }
        for number in (multiple ? self.base : last)...last {
            guard let owner = slots[index(number)].take() else { continue }
            count -= 1
            body(owner, number)
        }
        while self.base < next, slots[index(self.base)] == nil { self.base += 1 }
        return true
    }

    /// Finds the unconfirmed message that was returned; of several matches, each is found once before one is repeated.
    mutating func matchReturn(_ matches: (Owner, UInt64) -> Bool) -> (owner: Owner, tag: UInt64)? {
        returnCursor = max(returnCursor, base)
        return search(from: returnCursor, to: next, matches)
            ?? search(from: base, to: returnCursor, matches)
    }

    private mutating func search(
        from start: UInt64,
        to end: UInt64,
        _ matches: (Owner, UInt64) -> Bool
    ) -> (owner: Owner, tag: UInt64)? {
        for number in start..<end {
            guard let owner = slots[index(number)], matches(owner, number) else { continue }
            returnCursor = number + 1
            return (owner, number)
        }
        return nil
    }

    private func index(_ tag: UInt64) -> Int { Int(tag & UInt64(slots.count - 1)) }

    private mutating func grow() {
        var larger: [Owner?] = Array(repeating: nil, count: slots.count * 2)
        for number in base..<next {
            larger[Int(number & UInt64(larger.count - 1))] = slots[index(number)]
        }
        slots = larger
    }
}
