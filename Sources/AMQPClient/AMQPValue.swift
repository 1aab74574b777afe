/// A value in an AMQP field table.
public enum AMQPValue: Sendable, Hashable {
    /// A truth value.
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
    /// An unsigned integer of 64 bits, which RabbitMQ itself does not know.
    case uint64(UInt64)
    /// A floating point number of 32 bits.
    case float(Float)
    /// A floating point number of 64 bits.
    case double(Double)
    /// A decimal number: `value` divided by ten to the power of `scale`.
    case decimal(scale: UInt8, value: UInt32)
    /// A text in UTF-8.
    case string(String)
    /// Bytes without a meaning of their own.
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
    /// The text of a string, or of bytes that are valid UTF-8.
    public var string: String? {
        switch self {
        case .string(let text): text
        case .bytes(let bytes): String(validating: bytes, as: UTF8.self)
        default: nil
        }
    }

    /// The value of any integer that fits.
    public var integer: Int64? {
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
    public init(stringLiteral value: String) { self = .string(value) }

    /// Makes a signed integer of 64 bits.
    public init(integerLiteral value: Int64) { self = .int64(value) }

    /// Makes a truth value.
    public init(booleanLiteral value: Bool) { self = .bool(value) }
}

extension AMQPValue: ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral {
    /// Makes a list of values.
    public init(arrayLiteral elements: AMQPValue...) { self = .array(elements) }

    /// Makes a nested table.
    public init(dictionaryLiteral elements: (String, AMQPValue)...) {
        self = .table(AMQPTable(elements.map { AMQPTable.Entry(key: $0.0, value: $0.1) }))
    }
}
