import SheafBatches
import SheafBroker
import SheafCore
import Synchronization

/// What is to be written to the results logs and waits for its append, by batch.
///
/// Slots put it here without waiting for the one who writes.
final class OutcomeBuffer: Sendable {
    /// What waits for one batch.
    struct Entry {
        private(set) var messages: [Message] = []
        private(set) var items: [InboxItem] = []
        private var lines: [UInt8] = []
        private var lineCount = 0

        fileprivate mutating func add(_ line: [UInt8], of item: InboxItem, to batch: Name) {
            lines += line
            lineCount += 1
            items.append(item)
            if lineCount >= ResultMessage.maximumOutcomes || lines.count >= ResultMessage.softSize { seal(batch) }
        }

        fileprivate mutating func add(_ message: Message, first isFirst: Bool) {
            messages.insert(message, at: isFirst ? 0 : messages.count)
        }

        /// Makes a message of the outcomes that are in none yet.
        fileprivate mutating func seal(_ batch: Name) {
            if lineCount == 0 { return }
            messages.append(ResultMessage.outcomes(batch: batch, lines: lines))
            lines = []
            lineCount = 0
        }
    }

    private let entries = Mutex<[Name: Entry]>([:])

    /// Adds an outcome and the delivery of its task; true where nothing waited before.
    func add(_ outcome: Outcome, of item: InboxItem, to batch: Name) -> Bool {
        // Not under the lock, for which those who wait use up their time.
        var line: [UInt8] = []
        line.reserveCapacity(512)
        outcome.writeLine(to: &line)
        return entries.withLock { entries in
            defer { entries[batch, default: Entry()].add(line, of: item, to: batch) }
            return entries.isEmpty
        }
    }

    /// Adds a message, before all others of its batch or behind them; true where nothing waited before.
    func add(_ message: Message, to batch: Name, first isFirst: Bool = false) -> Bool {
        entries.withLock { entries in
            defer { entries[batch, default: Entry()].add(message, first: isFirst) }
            return entries.isEmpty
        }
    }

    /// Whether nothing waits.
    var isEmpty: Bool { entries.withLock { $0.isEmpty } }

    /// Takes out all there is; nil where there is nothing.
    func take() -> [Name: Entry]? {
        var taken = entries.withLock { entries -> [Name: Entry] in
            defer { entries = [:] }
            return entries
        }
        if taken.isEmpty { return nil }
        for batch in taken.keys { taken[batch]?.seal(batch) }
        return taken
    }
}
