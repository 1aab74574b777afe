/// Sizes as people write them: `64KiB`, `10MB`, `512`.
public enum SizeText {
    /// What a size looks like, for error messages.
    public static let rule = "a size such as 64KiB, 1MiB or 10MB"

    private static let units: [String: Int] = [
        "": 1, "b": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "kb": 1000, "mb": 1_000_000, "gb": 1_000_000_000,
    ]

    /// Reads a size in bytes; nil where it is none.
    public static func parse(_ text: String) -> Int? {
        let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        let suffix = text.dropFirst(digits.count).drop { $0 == " " }.lowercased()
        guard let number = Double(digits), let unit = units[suffix] else { return nil }
        return Int(exactly: (number * Double(unit)).rounded())
    }
}
