/// Field names in the few characters that the template engine takes for a name.
///
/// A header such as `Price (EUR)` or `größe` is no name to Mustache. Each byte it would not take is written as `*` and
/// two hexadecimal digits, and so is the dot, because looking into objects is done here and not by the engine.
enum FieldName {
    static func encode(_ name: some StringProtocol) -> String {
        var encoded: [UInt8] = []
        for byte in name.utf8 {
            if isPlain(byte) {
                encoded.append(byte)
            } else {
                encoded += [UInt8(ascii: "*"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: encoded, as: UTF8.self)
    }

    static func decode(_ name: String) -> String {
        guard name.utf8.contains(UInt8(ascii: "*")) else { return name }
        let bytes = Array(name.utf8)
        var decoded: [UInt8] = []
        var position = 0
        while position < bytes.count {
            if bytes[position] == UInt8(ascii: "*"), position + 2 < bytes.count,
                let high = digits.firstIndex(of: bytes[position + 1]),
                let low = digits.firstIndex(of: bytes[position + 2])
            {
                decoded.append(UInt8(high << 4 | low))
                position += 3
            } else {
                decoded.append(bytes[position])
                position += 1
            }
        }
        return String(decoding: decoded, as: UTF8.self)
    }

    /// Marks a name whose value is put in as it is; no field's encoded name begins like this.
    static let rawMark = "*-"
    /// Marks the name of a variable of the environment.
    static let variableMark = "*?"

    /// The parts of an encoded name, and whether its value is put in as it is.
    static func path(_ name: String) -> (parts: [String], isRaw: Bool) {
        let isRaw = name.hasPrefix(rawMark)
        let text = decode(isRaw ? String(name.dropFirst(rawMark.count)) : name)
        return (text.split(separator: ".").map(String.init), isRaw)
    }

    /// The variable of the environment that an encoded name stands for, if it does.
    static func variable(_ name: String) -> String? {
        name.hasPrefix(variableMark) ? decode(String(name.dropFirst(variableMark.count))) : nil
    }

    private static let digits = Array("0123456789ABCDEF".utf8)

    private static func isPlain(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
    }
}
