/// The failed tasks of a batch whose errors have the same type and the same message but for numbers and names.
package struct ErrorGroup: Sendable, Equatable {
    /// The id: the same for the same type and pattern in every batch; ``ErrorPatterns/otherID`` for the rest.
    package var id: String
    /// The type of the errors, or nil if the group is the rest.
    package var type: String?
    /// The message with numbers and quoted texts replaced, or nil if the group is the rest.
    package var pattern: String?
    /// The message of one of the errors, cut at 300 bytes.
    package var example: String
    /// The number of failed tasks.
    package var count: Int
    /// The failed task with the smallest index.
    package var first: Int
    /// The id of its record.
    package var firstRecord: String?
}

/// Assigns errors to groups, at most 200 per batch; all further errors belong to one more group, the rest.
struct ErrorPatterns {
    /// An error type and the pattern of a message.
    struct Pattern: Hashable {
        let type: String
        let message: String
    }

    /// The number of a task that has no error.
    static let none: UInt8 = 0
    /// The number of the rest.
    static let other = UInt8(maximum + 1)
    /// The id of the rest.
    static let otherID = "other"
    /// The maximum number of groups without the rest.
    static let maximum = 200
    /// The maximum size of a pattern, in bytes.
    private static let maximumPattern = 200

    /// The patterns with an example of each; the group of the first one has the number 1.
    private(set) var patterns: [(pattern: Pattern, id: String, example: String)] = []
    /// The message of an error of the rest.
    private(set) var otherExample = ""
    private var numbers: [Pattern: UInt8] = [:]

    /// Returns the number of an error's group, which is created if there is room.
    mutating func number(type: String, message: String) -> UInt8 {
        let pattern = Pattern(type: type, message: Self.pattern(of: message))
        if let known = numbers[pattern] { return known }
        guard patterns.count < Self.maximum else {
            if otherExample.isEmpty { otherExample = message }
            return Self.other
        }
        patterns.append((pattern, Self.id(of: pattern), message))
        let number = UInt8(patterns.count)
        numbers[pattern] = number
        return number
    }

    /// Returns the number of the group with an id, or nil if there is none.
    func number(id: String) -> UInt8? {
        if id == Self.otherID { return Self.other }
        return patterns.firstIndex { $0.id == id }.map { UInt8($0 + 1) }
    }

    /// Returns whether errors of a type can be in the group with a number.
    func mayHave(_ type: String, _ number: UInt8) -> Bool {
        if number == Self.other { return true }
        let place = Int(number) - 1
        return patterns.indices.contains(place) && patterns[place].pattern.type == type
    }

    /// FNV-1a over the type and the message (http://www.isthe.com/chongo/tech/comp/fnv/), as 16 hexadecimal digits.
    private static func id(of pattern: Pattern) -> String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in Array(pattern.type.utf8) + [0] + Array(pattern.message.utf8) {
            hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3
        }
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// Returns a message in which `#` replaces numbers and `…` replaces what is in quotes.
    ///
    /// A word with a digit in it becomes `#`, or its first letters and `#` if they are no hexadecimal digits. So the
    /// messages that differ only in numbers, ids, addresses or names in quotes have the same pattern.
    static func pattern(of message: String) -> String {
        let bytes = Array(message.utf8.prefix(4 * maximumPattern))
        var output: [UInt8] = []
        var position = 0
        while position < bytes.count, output.count < maximumPattern {
            let byte = bytes[position]
            if byte <= 0x20 {
                if let last = output.last, last != 0x20 { output.append(0x20) }
                position += 1
            } else if let end = endOfQuotes(bytes, position) {
                output.append(byte)
                output.append(contentsOf: "…".utf8)
                output.append(byte)
                position = end
            } else if isWordByte(byte) {
                let end = bytes[position...].firstIndex { !isWordByte($0) } ?? bytes.count
                append(bytes[position..<end], to: &output)
                position = end
            } else {
                output.append(byte)
                position += 1
            }
        }
        if position < bytes.count { output.append(contentsOf: "…".utf8) }
        while output.last == 0x20 { output.removeLast() }
        return String(decoding: output, as: UTF8.self)
    }

    /// The position after a text in quotes that begins here, or nil if none does; an apostrophe in a word is no quote.
    private static func endOfQuotes(_ bytes: [UInt8], _ start: Int) -> Int? {
        let quote = bytes[start]
        guard quote == UInt8(ascii: "'") || quote == UInt8(ascii: "\"") || quote == UInt8(ascii: "`"),
            start == 0 || !isWordByte(bytes[start - 1]),
            let end = bytes[(start + 1)...].firstIndex(of: quote)
        else { return nil }
        return end + 1
    }

    private static func append(_ word: ArraySlice<UInt8>, to output: inout [UInt8]) {
        let number = UInt8(ascii: "#")
        let isPartOfNumber = output.last.map { ".:-+,".utf8.contains($0) } == true && output.dropLast().last == number
        guard let digit = word.firstIndex(where: isDigit) else {
            // A group of a UUID may have letters only.
            if isPartOfNumber, word.count >= 4, word.allSatisfy(isHexadecimal) {
                output.removeLast()
            } else {
                output.append(contentsOf: word)
            }
            return
        }
        let letters = word[..<digit]
        if letters.count >= 2, !letters.allSatisfy(isHexadecimal) {
            output.append(contentsOf: letters)
            output.append(number)
        } else if isPartOfNumber {
            output.removeLast()
        } else {
            output.append(number)
        }
    }

    private static func isDigit(_ byte: UInt8) -> Bool { byte &- 0x30 < 10 }
    private static func isHexadecimal(_ byte: UInt8) -> Bool { isDigit(byte) || (byte | 0x20) &- 0x61 < 6 }
    private static func isWordByte(_ byte: UInt8) -> Bool {
        isDigit(byte) || (byte | 0x20) &- 0x61 < 26 || byte == UInt8(ascii: "_") || byte >= 0x80
    }
}
