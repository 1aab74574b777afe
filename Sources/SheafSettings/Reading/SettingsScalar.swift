import SheafCore

/// One value without parts, as it was written and as what it is to be taken.
struct SettingsScalar: Sendable, Equatable {
    /// What the text stands for.
    enum Kind: Sendable, Equatable {
        case null
        case bool(Bool)
        case number(String)
        case text
    }

    let text: String
    let kind: Kind

    init(text: String, kind: Kind = .text) {
        self.text = text
        self.kind = kind
    }

    /// Takes an unquoted text of YAML by the core schema of YAML 1.2, where `no` and `on` are texts.
    ///
    /// Digits behind a leading 0 are a text too: they are an article or postal code far more often than a number.
    init(plain text: String) {
        switch text {
        case "", "~", "null", "Null", "NULL": self.init(text: text, kind: .null)
        case "true", "True", "TRUE": self.init(text: text, kind: .bool(true))
        case "false", "False", "FALSE": self.init(text: text, kind: .bool(false))
        default: self.init(text: text, kind: Self.number(text).map(Kind.number) ?? .text)
        }
    }

    /// The digits of a number as JSON writes them; nil where it is none.
    private static func number(_ text: String) -> String? {
        if case .number(let digits) = try? JSON.parse(text) { return digits }
        for (prefix, radix) in [("0x", 16), ("0o", 8)] where text.hasPrefix(prefix) {
            return Int(text.dropFirst(2), radix: radix).map(String.init)
        }
        let unsigned = text.drop { $0 == "+" || $0 == "-" }
        guard text.count - unsigned.count <= 1,
            unsigned.utf8.allSatisfy({ 0x30...0x39 ~= $0 || "+-.eE".utf8.contains($0) }),
            unsigned.contains(where: \.isNumber),
            !(unsigned.first == "0" && unsigned.dropFirst().first?.isNumber == true),
            let value = Double(text), value.isFinite
        else { return nil }
        return Int(text).map(String.init) ?? String(value)
    }

    /// The value as JSON.
    var json: JSONValue {
        switch kind {
        case .null: .null
        case .bool(let flag): .bool(flag)
        case .number(let digits): .number(digits)
        case .text: .string(text)
        }
    }
}
