import SheafBatches
import SheafCore

/// Numbers and times in the words of the pages.
enum Figures {
    /// Returns a number with commas: `1,204`.
    static func number(_ number: Int) -> String {
        var text = ""
        for (place, digit) in String(number.magnitude).reversed().enumerated() {
            if place > 0, place % 3 == 0 { text.append(",") }
            text.append(digit)
        }
        return (number < 0 ? "-" : "") + text.reversed()
    }

    /// Returns a count with its noun: `1 task`, `2,000 tasks`.
    static func count(_ count: Int, _ noun: String) -> String {
        "\(number(count)) \(noun)\(count == 1 ? "" : noun.hasSuffix("ch") ? "es" : "s")"
    }

    /// Returns a percentage, rounded down, so that it is 100 only if all are done.
    static func percent(_ part: Int, of total: Int) -> Int {
        total > 0 ? Int(Double(part) / Double(total) * 100) : 0
    }

    /// Returns a share with a decimal if it is small: `2.6 %`, `41 %`.
    static func share(_ part: Int, of total: Int) -> String {
        let value = total > 0 ? Double(part) / Double(total) * 100 : 0
        if value > 0, value < 0.1 { return "under 0.1 %" }
        return value < 10 ? "\(decimal(value)) %" : "\(Int(value)) %"
    }

    /// Returns a number with at most one decimal: `0`, `2.5`.
    private static func decimal(_ value: Double) -> String {
        let text = String((value * 10).rounded() / 10)
        return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
    }

    /// Returns a rate: `0.4/s`, `1,204/s`.
    static func rate(_ perSecond: Double) -> String {
        perSecond < 10 ? "\(decimal(perSecond))/s" : "\(number(Int(perSecond.rounded())))/s"
    }

    /// Returns a duration as briefly as it is useful: `340 ms`, `3.2 s`, `4 min`, `2 h 5 min`, `3 d 4 h`.
    static func duration(_ duration: Duration) -> String {
        let seconds = max(0, duration / .seconds(1))
        if seconds < 0.9995 { return "\(Int((seconds * 1000).rounded())) ms" }
        if seconds < 9.95 { return "\(decimal(seconds)) s" }
        let whole = Int(min(seconds, 1e12).rounded())
        switch whole {
        case ..<60: return "\(whole) s"
        case ..<600: return "\(whole / 60) min" + (whole % 60 > 0 ? " \(whole % 60) s" : "")
        case ..<3600: return "\(whole / 60) min"
        case ..<86400: return "\(whole / 3600) h" + (whole / 60 % 60 > 0 ? " \(whole / 60 % 60) min" : "")
        default: return "\(whole / 86400) d" + (whole / 3600 % 24 > 0 ? " \(whole / 3600 % 24) h" : "")
        }
    }

    /// Returns a size: `812 bytes`, `4.2 kB`.
    static func size(_ bytes: Int) -> String {
        var value = Double(bytes)
        guard value >= 1000 else { return count(bytes, "byte") }
        for unit in ["kB", "MB"] {
            value /= 1000
            if value < 1000 { return "\(decimal(value)) \(unit)" }
        }
        return "\(decimal(value / 1000)) GB"
    }

    /// Returns text that is cut after a number of characters.
    static func cut(_ text: String, to limit: Int) -> String {
        guard text.utf8.count > limit else { return text }
        let scalars = text.unicodeScalars.prefix(limit)
        return scalars.count < text.unicodeScalars.count ? String(scalars) + "…" : text
    }
}

/// A time of a page: how long ago it was, and when exactly.
struct Moment {
    /// How long ago, to the minute, so that a page changes no more often than that.
    let ago: String
    /// The time for people, in UTC.
    let exact: String
    /// The time for the script.
    let machine: String

    init(_ time: Timestamp, now: Timestamp = .now) {
        let passed = now - time
        ago = passed < .seconds(60) ? "just now" : "\(Self.rounded(passed)) ago"
        machine = time.description
        exact = machine.prefix(19).replacing("T", with: " ") + " UTC"
    }

    private static func rounded(_ duration: Duration) -> String {
        let minutes = Int(duration / .seconds(60))
        return Figures.duration(.seconds(minutes < 60 * 24 ? minutes * 60 : minutes / 60 * 3600))
    }
}
