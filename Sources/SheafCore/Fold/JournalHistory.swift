/// The entries of a journal that still matter, in their order, and what they say together.
///
/// Replaying only these leads to the same state as replaying all: left out are those that changed nothing, counts of
/// published tasks that a later one replaced, and everything of a batch before it was deleted. An entry of a type that this
/// version does not know stays.
public struct JournalHistory: Sendable {
    private enum Kept: Sendable {
        case message(Message)
        case line(ArraySlice<UInt8>)

        /// Its bytes, but for names and punctuation.
        var size: Int {
            switch self {
            case .message(let message): message.body.count
            case .line(let line): line.count
            }
        }
    }

    /// What the entries say together.
    public private(set) var state = JournalState()
    /// How many entries matter.
    public private(set) var count = 0
    /// The bytes of these, about.
    public private(set) var size = 0
    /// In their order; nil where one does not matter any more.
    private var kept: [Kept?] = []
    private var places: [Name: [Int]] = [:]
    private var published: [Name: Int] = [:]

    /// Makes the history of an empty journal.
    public init() {}

    /// Adds the next message of the journal; one that is no entry changes nothing.
    public mutating func add(_ message: Message) {
        if let entry = JournalEntry(message) {
            add(entry, .message(message))
        } else if let bytes = JournalLine.bytes(of: message) {
            _ = add(line: bytes[...])
        }
    }

    /// Adds the next line of a checkpoint, or returns false where it is none.
    mutating func add(line bytes: ArraySlice<UInt8>) -> Bool {
        guard let line = JournalLine(bytes) else { return false }
        if let entry = line.entry { add(entry, .line(bytes)) } else { keep(.line(bytes), of: line.batch) }
        return true
    }

    /// The lines of a checkpoint.
    var lines: [UInt8] {
        var bytes: [UInt8] = []
        for case .some(let entry) in kept {
            switch entry {
            case .message(let message): bytes += JournalLine.bytes(of: message) ?? []
            case .line(let line): bytes += line
            }
            bytes.append(UInt8(ascii: "\n"))
        }
        return bytes
    }

    private mutating func add(_ entry: JournalEntry, _ new: Kept) {
        guard state.apply(entry) else { return }
        switch entry.event {
        case .deleted:
            for place in places.removeValue(forKey: entry.batch) ?? [] { drop(place) }
            published[entry.batch] = nil
        case .published:
            // It has changed something: it is of a higher count, or of the same with another digest.
            if let place = published[entry.batch] { drop(place) }
            published[entry.batch] = kept.count
        default: break
        }
        keep(new, of: entry.batch)
    }

    private mutating func keep(_ entry: Kept, of batch: Name) {
        places[batch, default: []].append(kept.count)
        kept.append(entry)
        count += 1
        size += entry.size
    }

    private mutating func drop(_ place: Int) {
        guard let entry = kept[place] else { return }
        kept[place] = nil
        count -= 1
        size -= entry.size
    }
}
