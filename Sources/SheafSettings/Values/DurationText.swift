/// Durations as people write them: `500ms`, `60s`, `1.5h`.
public enum DurationText {
    /// What a duration looks like, for error messages.
    public static let rule = "a duration such as 500ms, 60s, 5m, 2h or 1d"

    private static let units: [(suffix: String, seconds: Double)] = [
        ("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600), ("d", 86400),
    ]

    /// Reads a duration; nil where it is none, has no unit, or is longer than ten thousand days.
    public static func parse(_ text: String) -> Duration? {
        let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        let suffix = text.dropFirst(digits.count).drop { $0 == " " }
        guard let number = Double(digits), let unit = units.first(where: { $0.suffix == suffix }) else { return nil }
        let seconds = number * unit.seconds
        guard seconds <= 10_000 * 86400 else { return nil }
        return .milliseconds((seconds * 1000).rounded())
    }
}
