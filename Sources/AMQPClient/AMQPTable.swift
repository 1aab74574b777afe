/// An AMQP field table: an ordered list of names, each with a value.
///
/// Tables are small, so a lookup compares the names one by one.
package struct AMQPTable: Sendable {
    /// A name and its value.
    package struct Entry: Sendable, Hashable {
        /// The name, at most 255 bytes of UTF-8.
        package var key: String
        /// The value.
        package var value: AMQPValue

        /// Makes an entry.
        package init(key: String, value: AMQPValue) {
            self.key = key
            self.value = value
        }
    }

    /// The entries in order.
    package private(set) var entries: [Entry]

    /// Makes an empty table.
    package init() { entries = [] }

    /// Makes a table of entries; if two have the same name, lookups find the first.
    package init(_ entries: [Entry]) { self.entries = entries }

    /// Accesses the value of a name; assigning nil removes the name.
    package subscript(key: String) -> AMQPValue? {
        get { entries.first { $0.key == key }?.value }
        set {
            let index = entries.firstIndex { $0.key == key }
            switch (index, newValue) {
            case (let index?, let value?): entries[index].value = value
            case (let index?, nil): entries.remove(at: index)
            case (nil, let value?): entries.append(Entry(key: key, value: value))
            case (nil, nil): break
            }
        }
    }

    /// The number of names.
    package var count: Int { entries.count }

    /// Whether the table has no entries.
    package var isEmpty: Bool { entries.isEmpty }
}

extension AMQPTable: Hashable {
    /// Compares two tables regardless of their order.
    package static func == (left: AMQPTable, right: AMQPTable) -> Bool {
        left.count == right.count && left.entries.allSatisfy { right[$0.key] == $0.value }
    }

    /// Hashes the names regardless of their order.
    package func hash(into hasher: inout Hasher) {
        hasher.combine(entries.reduce(into: 0) { $0 ^= $1.key.hashValue })
    }
}

extension AMQPTable: ExpressibleByDictionaryLiteral {
    /// Makes a table of the given names and values.
    package init(dictionaryLiteral elements: (String, AMQPValue)...) {
        self.init(elements.map { Entry(key: $0.0, value: $0.1) })
    }
}

/// A value in an AMQP field table.
package enum AMQPValue: Sendable, Hashable {
    /// A Boolean value.
    case bool(Bool)
    /// A signed integer of 8 bits.
    case int8(Int8)
    /// An unsigned integer of 8 bits.
    case uint8(UInt8)
    /// A signed integer of 16 bits.
    case int16(Int16)
    /// An unsigned integer of 16 bits.
    case uint16(UInt16)
    /// A signed integer of 32 bits.
    case int32(Int32)
    /// An unsigned integer of 32 bits.
    case uint32(UInt32)
    /// A signed integer of 64 bits.
    case int64(Int64)
    /// An unsigned integer of 64 bits, which RabbitMQ itself does not support.
    case uint64(UInt64)
    /// A floating point number of 32 bits.
    case float(Float)
    /// A floating point number of 64 bits.
    case double(Double)
    /// A decimal number: `value` divided by ten to the power of `scale`.
    case decimal(scale: UInt8, value: UInt32)
    /// A string in UTF-8.
    case string(String)
    /// Uninterpreted bytes.
    case bytes([UInt8])
    /// Seconds since 1970.
    case timestamp(UInt64)
    /// A list of values.
    case array([AMQPValue])
    /// A nested table.
    case table(AMQPTable)
    /// No value.
    case null
}

extension AMQPValue {
    /// The value of a string, or of bytes that are valid UTF-8.
    package var string: String? {
        switch self {
        case .string(let text): text
        case .bytes(let bytes): String(validating: bytes, as: UTF8.self)
        default: nil
        }
    }

    /// The value of any integer or timestamp if it fits into 64 signed bits.
    package var integer: Int64? {
        switch self {
        case .int8(let value): Int64(value)
        case .uint8(let value): Int64(value)
        case .int16(let value): Int64(value)
        case .uint16(let value): Int64(value)
        case .int32(let value): Int64(value)
        case .uint32(let value): Int64(value)
        case .int64(let value): value
        case .uint64(let value), .timestamp(let value): Int64(exactly: value)
        default: nil
        }
    }
}

extension AMQPValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral {
    /// Makes a string.
    package init(stringLiteral value: String) { self = .string(value) }

    /// Makes a signed integer of 64 bits.
    package init(integerLiteral value: Int64) { self = .int64(value) }

    /// Makes a Boolean value.
    package init(booleanLiteral value: Bool) { self = .bool(value) }
}

extension AMQPValue: ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral {
    /// Makes a list of values.
    package init(arrayLiteral elements: AMQPValue...) { self = .array(elements) }

    /// Makes a nested table.
    package init(dictionaryLiteral elements: (String, AMQPValue)...) {
        self = .table(AMQPTable(elements.map { AMQPTable.Entry(key: $0.0, value: $0.1) }))
    }
}
