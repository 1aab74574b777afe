/// An AMQP field table: few names, each with a value, in the order they were given.
///
/// Tables are small, so a lookup compares the names one by one.
public struct AMQPTable: Sendable {
    /// A name and its value.
    public struct Entry: Sendable, Hashable {
        /// The name, at most 255 bytes of UTF-8.
        public var key: String
        /// The value.
        public var value: AMQPValue

        /// Makes an entry.
        public init(key: String, value: AMQPValue) {
            self.key = key
            self.value = value
        }
    }

    /// The entries in their order.
    public private(set) var entries: [Entry]

    /// Makes an empty table.
    public init() { self.entries = [] }

    /// Makes a table of entries; of two with the same name the first is found.
    public init(_ entries: [Entry]) { self.entries = entries }

    /// The value of a name; assigning nil removes the name.
    public subscript(key: String) -> AMQPValue? {
        get { self.entries.first { $0.key == key }?.value }
        set {
            let index = self.entries.firstIndex { $0.key == key }
            switch (index, newValue) {
            case (let index?, let value?): self.entries[index].value = value
            case (let index?, nil): self.entries.remove(at: index)
            case (nil, let value?): self.entries.append(Entry(key: key, value: value))
            case (nil, nil): break
            }
        }
    }

    /// The number of names.
    public var count: Int { self.entries.count }

    /// Whether the table has no entries.
    public var isEmpty: Bool { self.entries.isEmpty }
}

extension AMQPTable: Hashable {
    /// Compares two tables regardless of their order.
    public static func == (left: AMQPTable, right: AMQPTable) -> Bool {
        left.count == right.count && left.entries.allSatisfy { right[$0.key] == $0.value }
    }

    /// Hashes the names regardless of their order.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(self.entries.reduce(into: 0) { $0 ^= $1.key.hashValue })
    }
}

extension AMQPTable: ExpressibleByDictionaryLiteral {
    /// Makes a table of the names and values given.
    public init(dictionaryLiteral elements: (String, AMQPValue)...) {
        self.init(elements.map { Entry(key: $0.0, value: $0.1) })
    }
}
