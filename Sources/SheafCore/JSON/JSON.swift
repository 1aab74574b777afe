/// Reading, checking and writing JSON text.
public enum JSON {
    /// Reads one value; anything but white space behind it is an error.
    public static func parse(_ bytes: [UInt8]) throws(JSONError) -> JSONValue {
        try with(bytes) { (reader) throws(JSONError) in
            let value = try reader.readValue()
            try reader.expectEnd()
            return value
        }
    }

    /// Reads one value.
    public static func parse(_ text: String) throws(JSONError) -> JSONValue {
        try parse(Array(text.utf8))
    }

    /// Checks that the bytes are one JSON value, without building it.
    public static func validate(_ bytes: [UInt8]) throws(JSONError) {
        try with(bytes) { (reader) throws(JSONError) in
            try reader.skipValue()
            try reader.expectEnd()
        }
    }

    /// Checks the whole text and returns the top-level members asked for, where it is an object.
    ///
    /// Costs one pass and builds only what was asked for.
    public static func members(
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

    /// The bytes of each top-level member, as they stand; the whole text is checked.
    public static func slices(of bytes: [UInt8]) throws(JSONError) -> [(name: String, range: Range<Int>)] {
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

    private static func with<Result>(
        _ bytes: [UInt8],
        _ body: (inout JSONReader) throws(JSONError) -> Result
    ) throws(JSONError) -> Result {
        try bytes.withUnsafeBufferPointer { (buffer) throws(JSONError) in
            var reader = JSONReader(buffer)
            return try body(&reader)
        }
    }
}

extension JSONReader {
    /// Tells whether a scanned name is that one.
    func isEqual(_ span: StringSpan, _ name: String) -> Bool {
        if span.hasEscapes { return (try? decode(span)) == name }
        return bytes[span.range].elementsEqual(name.utf8)
    }
}
