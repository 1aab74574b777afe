import CHiredis

/// A reply of Redis.
indirect enum RedisValue: Sendable, Equatable {
    case null
    case integer(Int)
    case bytes([UInt8])
    /// An error of one command, such as `WRONGTYPE ...`.
    case error(String)
    case array([RedisValue])

    /// Copies a reply of hiredis.
    init(_ reply: UnsafePointer<redisReply>) {
        let value = reply.pointee
        switch value.type {
        case REDIS_REPLY_INTEGER: self = .integer(Int(value.integer))
        case REDIS_REPLY_STRING, REDIS_REPLY_STATUS: self = .bytes(Self.bytes(of: value))
        case REDIS_REPLY_ERROR: self = .error(String(decoding: Self.bytes(of: value), as: UTF8.self))
        case REDIS_REPLY_ARRAY:
            self = .array(
                (0..<Int(value.elements)).map { index in value.element[index].map { RedisValue($0) } ?? .null }
            )
        default: self = .null
        }
    }

    private static func bytes(of reply: redisReply) -> [UInt8] {
        guard let text = reply.str else { return [] }
        return Array(UnsafeRawBufferPointer(start: text, count: Int(reply.len)))
    }

    var array: [RedisValue] { if case .array(let values) = self { values } else { [] } }

    var bytes: [UInt8]? { if case .bytes(let bytes) = self { bytes } else { nil } }

    var text: String? { bytes.map { String(decoding: $0, as: UTF8.self) } }

    /// An integer, also one that is written as text.
    var integer: Int? {
        switch self {
        case .integer(let value): value
        case .bytes: text.flatMap { Int($0) }
        default: nil
        }
    }
}

/// A command in the form of the protocol.
struct RedisCommand: Sendable {
    private(set) var bytes: [UInt8]

    init(_ parts: [[UInt8]]) {
        bytes = []
        bytes.reserveCapacity(parts.reduce(16) { $0 + $1.count + 16 })
        append("*\(parts.count)\r\n")
        for part in parts {
            append("$\(part.count)\r\n")
            bytes.append(contentsOf: part)
            append("\r\n")
        }
    }

    init(_ parts: String...) { self.init(parts.map { Array($0.utf8) }) }

    private mutating func append(_ text: String) { bytes.append(contentsOf: text.utf8) }
}
