import Foundation

/// The time that a server asks for in `Retry-After`: seconds, or a date.
enum RetryAfter {
    /// The longest that is believed.
    static let longest = Duration.seconds(3_600)

    /// Reads the header; nil where it is neither.
    static func parse(_ text: String, now: Date = Date()) -> Duration? {
        let text = text.trimmingCharacters(in: .whitespaces)
        if let seconds = Double(text) {
            guard seconds >= 0 else { return nil }
            return min(.milliseconds((min(seconds, 1e6) * 1_000).rounded(.up)), longest)
        }
        for format in ["EEE, dd MMM yyyy HH:mm:ss zzz", "EEEE, dd-MMM-yy HH:mm:ss zzz", "EEE MMM d HH:mm:ss yyyy"] {
            let formatter = DateFormatter()
            formatter.locale = Locale(identifier: "en_US_POSIX")
            formatter.timeZone = TimeZone(secondsFromGMT: 0)
            formatter.dateFormat = format
            guard let date = formatter.date(from: text) else { continue }
            return min(max(.zero, .milliseconds((date.timeIntervalSince(now) * 1_000).rounded(.up))), longest)
        }
        return nil
    }
}
