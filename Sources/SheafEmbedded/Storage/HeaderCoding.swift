import SheafBroker
import SheafCore

/// The headers of a message as bytes: for each one its name, a kind and a value.
///
/// Lengths and whole numbers are little-endian with 7 bits a byte; numbers are zigzag coded first, so that small ones
/// are short.
enum HeaderCoding {
    private static let (string, integer, no, yes): (UInt8, UInt8, UInt8, UInt8) = (0, 1, 2, 3)

    /// The bytes of the headers.
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

    /// The headers of the bytes; throws where they are damaged.
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
