import SheafBroker
import SheafCore

/// Maps a message to the columns that the tables `message`, `delayed` and `entry` share.
enum MessageColumns {
    /// The columns in the order of ``run(_:with:from:)`` and ``read(_:from:)``.
    static let list = "id, type, content_type, headers, body"
    /// The columns of ``list`` and those that record a death.
    static let all = "id, type, content_type, headers, body, death_reason, death_queue"

    /// Binds the message to five parameters of the statement, starting at `index`, and runs it.
    static func run(_ statement: SQLStatement, with message: Message, from index: Int32) throws {
        statement.bind(message.id, at: index)
        statement.bind(message.type, at: index + 1)
        statement.bind(message.contentType, at: index + 2)
        try HeaderCoding.encode(message.headers).withUnsafeBytes { headers in
            try message.body.withUnsafeBytes { body in
                statement.bind(uncopied: headers, at: index + 3)
                statement.bind(uncopied: body, at: index + 4)
                try statement.run()
            }
        }
    }

    /// Reads the message from five columns of the current row, starting at `column`.
    static func read(_ row: SQLStatement, from column: Int32) throws -> Message {
        Message(
            id: row.text(column),
            type: row.text(column + 1),
            contentType: row.text(column + 2),
            headers: try HeaderCoding.decode(row.bytes(column + 3)),
            body: row.bytes(column + 4)
        )
    }

    /// Returns the approximate size of the message in bytes.
    static func size(of message: Message) -> Int64 {
        let headers = message.headers.reduce(0) { size, header in
            if case .string(let value) = header.value {
                size + header.name.utf8.count + value.utf8.count + 4
            } else {
                size + header.name.utf8.count + 8
            }
        }
        return Int64(message.id.utf8.count + message.type.utf8.count + headers + message.body.count + 32)
    }
}

/// Encodes the headers of a message as bytes: for each header its name, a kind and a value.
///
/// Lengths and integers are encoded in little-endian order with 7 bits a byte. Integers are zigzag encoded first, so
/// that small absolute values are short.
enum HeaderCoding {
    private static let (string, integer, no, yes): (UInt8, UInt8, UInt8, UInt8) = (0, 1, 2, 3)

    /// Encodes headers.
    static func encode(_ headers: [Message.Header]) -> [UInt8] {
        guard !headers.isEmpty else { return [] }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(headers.count * 24)
        for header in headers {
            append(header.name, to: &bytes)
            switch header.value {
            case .string(let value):
                bytes.append(string)
                append(value, to: &bytes)
            case .integer(let value):
                bytes.append(integer)
                append(UInt64(bitPattern: value << 1 ^ value >> 63), to: &bytes)
            case .bool(let value):
                bytes.append(value ? yes : no)
            }
        }
        return bytes
    }

    /// Decodes headers; throws if the bytes are damaged.
    static func decode(_ bytes: [UInt8]) throws -> [Message.Header] {
        var headers: [Message.Header] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            let name = try text(&rest)
            guard let kind = rest.popFirst() else { throw damaged }
            switch kind {
            case string: headers.append(Message.Header(name, .string(try text(&rest))))
            case integer:
                let value = try number(&rest)
                let signed = Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1)
                headers.append(Message.Header(name, .integer(signed)))
            case no, yes: headers.append(Message.Header(name, .bool(kind == yes)))
            default: throw damaged
            }
        }
        return headers
    }

    private static func append(_ text: String, to bytes: inout [UInt8]) {
        append(UInt64(text.utf8.count), to: &bytes)
        bytes.append(contentsOf: text.utf8)
    }

    private static func append(_ number: UInt64, to bytes: inout [UInt8]) {
        var number = number
        while number >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: number) | 0x80)
            number >>= 7
        }
        bytes.append(UInt8(number))
    }

    private static func text(_ bytes: inout ArraySlice<UInt8>) throws -> String {
        guard let count = Int(exactly: try number(&bytes)), count <= bytes.count else { throw damaged }
        defer { bytes.removeFirst(count) }
        return String(decoding: bytes.prefix(count), as: UTF8.self)
    }

    private static func number(_ bytes: inout ArraySlice<UInt8>) throws -> UInt64 {
        var number: UInt64 = 0
        var shift: UInt64 = 0
        while let byte = bytes.popFirst(), shift < 64 {
            number |= UInt64(byte & 0x7F) << shift
            guard byte & 0x80 != 0 else { return number }
            shift += 7
        }
        throw damaged
    }

    private static var damaged: BrokerError {
        BrokerError(.storage, "the headers of a message in the broker's file are damaged")
    }
}
