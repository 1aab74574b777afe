/// Looks for the end of one JSON value by its quotes and brackets, over any number of pieces.
struct JSONScan {
    /// Whether the value ends with its own bracket, rather than before a comma or the bracket of an array.
    private let isWhole: Bool
    private var depth = 0
    private var isInString = false
    private var isEscaped = false
    private var scanned = 0
    /// How many line breaks were passed.
    private(set) var lines = 0
    /// The length up to the last byte that is not white space.
    private(set) var contentLength = 0
    /// Whether the end was found.
    private(set) var isComplete = false
    /// The comma or bracket before which the value ends.
    private(set) var last: UInt8?

    init(isWhole: Bool) { self.isWhole = isWhole }

    /// How many bytes of this piece belong to the value, if it ends here; else the next piece is wanted.
    mutating func end(in bytes: UnsafeRawBufferPointer) -> Int? {
        for (place, byte) in bytes.enumerated() {
            if byte == UInt8(ascii: "\n") { lines += 1 }
            if isInString {
                if isEscaped {
                    isEscaped = false
                } else if byte == UInt8(ascii: "\\") {
                    isEscaped = true
                } else if byte == UInt8(ascii: "\"") {
                    isInString = false
                }
            } else {
                switch byte {
                case UInt8(ascii: "\""): isInString = true
                case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
                case UInt8(ascii: "}") where depth > 0, UInt8(ascii: "]") where depth > 0:
                    depth -= 1
                    if depth == 0, isWhole {
                        contentLength = scanned + place + 1
                        isComplete = true
                        return place + 1
                    }
                case UInt8(ascii: ",") where depth == 0, UInt8(ascii: "]"):
                    last = byte
                    isComplete = true
                    return place
                case 0x20, 0x0A, 0x0D, 0x09: continue
                default: break
                }
            }
            contentLength = scanned + place + 1
        }
        scanned += bytes.count
        return nil
    }
}
