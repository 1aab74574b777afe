/// Functions that parse, check and write JSON text.
public enum JSON {
    /// Parses one value; anything but white space after it is an error.
    public static func parse(_ bytes: [UInt8]) throws(JSONError) -> JSONValue {
        try with(bytes) { (reader) throws(JSONError) in
            let value = try reader.readValue()
            try reader.expectEnd()
            return value
        }
    }

    /// Parses one value.
    public static func parse(_ text: String) throws(JSONError) -> JSONValue {
        try parse(Array(text.utf8))
    }

    /// Checks that the bytes are one JSON value, without building the value.
    package static func validate(_ bytes: [UInt8]) throws(JSONError) {
        try with(bytes) { (reader) throws(JSONError) in
            try reader.skipValue()
            try reader.expectEnd()
        }
    }

    /// Checks the whole text and returns the requested top-level members if the text is an object.
    ///
    /// Takes one pass and builds only the requested values.
    package static func members(
        _ names: [String],
        of bytes: [UInt8]
    ) throws(JSONError) -> [String: JSONValue] {
        try with(bytes) { (reader) throws(JSONError) in
            var found: [String: JSONValue] = [:]
            if try reader.peek() == UInt8(ascii: "{") {
                try reader.members { (reader, span) throws(JSONError) in
                    if span.range.count > 64 {
                        try reader.skipValue()
                        return
                    }
                    for name in names where reader.isEqual(span, name) {
                        found[name] = try reader.readValue()
                        return
                    }
                    try reader.skipValue()
                }
            } else {
                try reader.skipValue()
            }
            try reader.expectEnd()
            return found
        }
    }

    /// Checks the whole text and returns the unmodified bytes of each top-level member.
    package static func slices(of bytes: [UInt8]) throws(JSONError) -> [(name: String, range: Range<Int>)] {
        try with(bytes) { (reader) throws(JSONError) in
            var found: [(name: String, range: Range<Int>)] = []
            try reader.members { (reader, span) throws(JSONError) in
                let start = reader.position
                try reader.skipValue()
                found.append((try reader.decode(span), start..<reader.position))
            }
            try reader.expectEnd()
            return found
        }
    }

    /// Checks that the text is an array and returns the place of the unmodified bytes of each element.
    package static func elements(of bytes: [UInt8]) throws(JSONError) -> [Range<Int>] {
        try with(bytes) { (reader) throws(JSONError) in
            var found: [Range<Int>] = []
            try reader.elements { (reader) throws(JSONError) in
                let start = reader.position
                try reader.skipValue()
                found.append(start..<reader.position)
            }
            try reader.expectEnd()
            return found
        }
    }

    private static func with<Result>(
        _ bytes: [UInt8],
        _ body: (inout JSONReader) throws(JSONError) -> Result
    ) throws(JSONError) -> Result {
        try bytes.withUnsafeBufferPointer { (buffer) throws(JSONError) in
            var reader = JSONReader(buffer)
            return try body(&reader)
        }
    }

    /// Appends a string as a JSON string, quoted and escaped.
    package static func write(_ text: String, to output: inout [UInt8]) {
        output.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""): output.append(contentsOf: [0x5C, 0x22])
            case UInt8(ascii: "\\"): output.append(contentsOf: [0x5C, 0x5C])
            case 0x0A: output.append(contentsOf: "\\n".utf8)
            case 0x0D: output.append(contentsOf: "\\r".utf8)
            case 0x09: output.append(contentsOf: "\\t".utf8)
            case 0..<0x20:
                output.append(contentsOf: "\\u00".utf8)
                output.append(hex[Int(byte >> 4)])
                output.append(hex[Int(byte & 15)])
            default: output.append(byte)
            }
        }
        output.append(UInt8(ascii: "\""))
    }

    private static let hex = Array("0123456789abcdef".utf8)

    /// Appends JSON text that is known to be valid, on one line.
    ///
    /// Every line break becomes a space: it is white space outside strings, and it cannot occur inside them.
    @inlinable
    package static func writeOnOneLine(_ json: some Collection<UInt8>, to output: inout [UInt8]) {
        let start = output.count
        output.append(contentsOf: json)
        // The loop writes every byte, so that it has no branches and the compiler can vectorize it.
        output.withUnsafeMutableBufferPointer { bytes in
            for position in start..<bytes.count {
                let byte = bytes[position]
                bytes[position] = byte == 0x0A || byte == 0x0D ? 0x20 : byte
            }
        }
    }
}
