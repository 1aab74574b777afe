/// Encodes the headers of a message as bytes: for each header its name, a kind and a value.
///
/// Lengths and integers are encoded in little-endian order with 7 bits a byte. Integers are zigzag encoded first, so
/// that small absolute values are short.
package enum HeaderCoding {
    private static let (string, integer, no, yes): (UInt8, UInt8, UInt8, UInt8) = (0, 1, 2, 3)

    /// Encodes headers.
    package static func encode(_ headers: [Message.Header]) -> [UInt8] {
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
    package static func decode(_ bytes: [UInt8]) throws(UnreadableMessage) -> [Message.Header] {
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

    fileprivate static func append(_ text: String, to bytes: inout [UInt8]) {
        append(UInt64(text.utf8.count), to: &bytes)
        bytes.append(contentsOf: text.utf8)
    }

    fileprivate static func append(_ number: UInt64, to bytes: inout [UInt8]) {
        var number = number
        while number >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: number) | 0x80)
            number >>= 7
        }
        bytes.append(UInt8(number))
    }

    fileprivate static func text(_ bytes: inout ArraySlice<UInt8>) throws(UnreadableMessage) -> String {
        guard let count = Int(exactly: try number(&bytes)), count <= bytes.count else { throw damaged }
        defer { bytes.removeFirst(count) }
        return String(decoding: bytes.prefix(count), as: UTF8.self)
    }

    fileprivate static func number(_ bytes: inout ArraySlice<UInt8>) throws(UnreadableMessage) -> UInt64 {
        var number: UInt64 = 0
        var shift: UInt64 = 0
        while let byte = bytes.popFirst(), shift < 64 {
            number |= UInt64(byte & 0x7F) << shift
            guard byte & 0x80 != 0 else { return number }
            shift += 7
        }
        throw damaged
    }

    private static var damaged: UnreadableMessage { UnreadableMessage("its headers are damaged") }
}

extension Message {
    /// The message as bytes: its id, type and media type, the size of its headers, these, and the body.
    package var encoded: [UInt8] {
        let headers = HeaderCoding.encode(headers)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(headers.count + body.count + 96)
        for text in [id, type, contentType] { HeaderCoding.append(text, to: &bytes) }
        HeaderCoding.append(UInt64(headers.count), to: &bytes)
        return bytes + headers + body
    }

    /// Decodes what ``encoded`` has encoded.
    package init(encoded bytes: [UInt8]) throws(UnreadableMessage) {
        var rest = bytes[...]
        let (id, type) = (try HeaderCoding.text(&rest), try HeaderCoding.text(&rest))
        let contentType = try HeaderCoding.text(&rest)
        guard let size = Int(exactly: try HeaderCoding.number(&rest)), size <= rest.count else {
            throw UnreadableMessage("it is cut off")
        }
        let headers = try HeaderCoding.decode(Array(rest.prefix(size)))
        self.init(id: id, type: type, contentType: contentType, headers: headers, body: Array(rest.dropFirst(size)))
    }
}
