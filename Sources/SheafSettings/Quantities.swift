/// Parses durations such as `500ms`, `60s` or `1.5h`.
package enum DurationText {
    /// The expected form, for error messages.
    package static let rule = "a duration such as 500ms, 60s, 5m, 2h or 1d"

    private static let units: [(suffix: String, seconds: Double)] = [
        ("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600), ("d", 86400),
    ]

    /// Parses a duration; returns nil if it is invalid, has no unit, or is longer than 10,000 days.
    package static func parse(_ text: String) -> Duration? {
        let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        let suffix = text.dropFirst(digits.count).drop { $0 == " " }
        guard let number = Double(digits), let unit = units.first(where: { $0.suffix == suffix }) else { return nil }
        let seconds = number * unit.seconds
        guard seconds <= 10_000 * 86400 else { return nil }
        return .milliseconds((seconds * 1000).rounded())
    }
}

/// Parses sizes such as `64KiB`, `10MB` or `512`.
package enum SizeText {
    /// The expected form, for error messages.
    package static let rule = "a size such as 64KiB, 1MiB or 10MB"

    private static let units: [String: Int] = [
        "": 1, "b": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "kb": 1000, "mb": 1_000_000, "gb": 1_000_000_000,
    ]

    /// Parses a size and returns bytes, or nil if it is invalid.
    package static func parse(_ text: String) -> Int? {
        let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        let suffix = text.dropFirst(digits.count).drop { $0 == " " }.lowercased()
        guard let number = Double(digits), let unit = units[suffix] else { return nil }
        return Int(exactly: (number * Double(unit)).rounded())
    }
}
