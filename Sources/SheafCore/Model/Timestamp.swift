/// A timestamp in UTC with a resolution of one millisecond, written as in RFC 3339.
public struct Timestamp: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    public let milliseconds: Int64

    /// Creates a timestamp from milliseconds since 1970.
    public init(milliseconds: Int64) {
        self.milliseconds = milliseconds
    }

    /// Compares two timestamps.
    public static func < (left: Timestamp, right: Timestamp) -> Bool {
        left.milliseconds < right.milliseconds
    }

    /// Returns the timestamp that is later by a duration.
    public static func + (time: Timestamp, duration: Duration) -> Timestamp {
        let (seconds, attoseconds) = duration.components
        return Timestamp(milliseconds: time.milliseconds + seconds * 1000 + attoseconds / 1_000_000_000_000_000)
    }

    /// Returns the duration between two timestamps.
    public static func - (left: Timestamp, right: Timestamp) -> Duration {
        .milliseconds(left.milliseconds - right.milliseconds)
    }

    /// The timestamp in the form `2026-01-31T23:59:59.999Z`.
    public var description: String {
        var text: [UInt8] = []
        write(to: &text)
        return String(decoding: text, as: UTF8.self)
    }

    /// Appends ``description`` as bytes; every outcome has two timestamps, so this avoids building strings.
    func write(to output: inout [UInt8]) {
        let day = milliseconds.floorDivided(by: 86_400_000)
        let rest = milliseconds - day * 86_400_000
        let (year, month, date) = Self.civil(fromDays: day)
        func digits(_ value: Int64, _ width: Int, then separator: Unicode.Scalar) {
            var divisor: Int64 = 1
            for _ in 1..<width { divisor *= 10 }
            while divisor > 0 {
                output.append(UInt8(truncatingIfNeeded: 0x30 + value / divisor % 10))
                divisor /= 10
            }
            output.append(UInt8(ascii: separator))
        }
        digits(year, 4, then: "-")
        digits(month, 2, then: "-")
        digits(date, 2, then: "T")
        digits(rest / 3_600_000, 2, then: ":")
        digits(rest / 60000 % 60, 2, then: ":")
        digits(rest / 1000 % 60, 2, then: ".")
        digits(rest % 1000, 3, then: "Z")
    }

    /// Parses the form of ``description``; the fraction may be missing or have any length.
    public init?(_ text: String) {
        let bytes = Array(text.utf8)
        func number(_ range: Range<Int>) -> Int64? {
            guard range.upperBound <= bytes.count, bytes[range].allSatisfy({ $0 &- 0x30 < 10 }) else { return nil }
            return bytes[range].reduce(0) { $0 * 10 + Int64($1 - 0x30) }
        }
        guard bytes.count >= 20, bytes[4] == 0x2D, bytes[7] == 0x2D, bytes[10] | 0x20 == UInt8(ascii: "t"),
            bytes[13] == 0x3A, bytes[16] == 0x3A, bytes.last.map({ $0 | 0x20 }) == UInt8(ascii: "z"),
            let year = number(0..<4), let month = number(5..<7), 1...12 ~= month, let date = number(8..<10),
            1...31 ~= date, let hour = number(11..<13), hour < 24, let minute = number(14..<16), minute < 60,
            let second = number(17..<19), second <= 60
        else { return nil }
        var fraction: Int64 = 0
        if bytes.count > 20 {
            let places = bytes[20..<bytes.count - 1]
            guard bytes[19] == 0x2E, !places.isEmpty, places.allSatisfy({ $0 &- 0x30 < 10 }) else { return nil }
            let digits = places.prefix(3)
            fraction = digits.reduce(0) { $0 * 10 + Int64($1 - 0x30) } * [100, 10, 1][max(0, digits.count - 1)]
        }
        let days = Self.days(year, month, date)
        let milliseconds = ((days * 24 + hour) * 60 + minute) * 60000 + second * 1000 + fraction
        // A leap second may lead into the year 10000, which the format cannot express.
        guard milliseconds <= Self.last else { return nil }
        self.init(milliseconds: milliseconds)
    }

    /// The end of the year 9999.
    private static let last = (days(10_000, 1, 1) * 86_400_000) - 1

    /// The days since 1970 of a date, after Howard Hinnant's "chrono-Compatible Low-Level Date Algorithms".
    private static func days(_ year: Int64, _ month: Int64, _ date: Int64) -> Int64 {
        let shifted = month <= 2 ? year - 1 : year
        let era = shifted.floorDivided(by: 400)
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + date - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    private static func civil(fromDays days: Int64) -> (year: Int64, month: Int64, date: Int64) {
        let shifted = days + 719_468
        let era = shifted.floorDivided(by: 146_097)
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let month = shiftedMonth + (shiftedMonth < 10 ? 3 : -9)
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
    }
}

extension Int64 {
    fileprivate func floorDivided(by divisor: Int64) -> Int64 {
        self >= 0 ? self / divisor : -((-self + divisor - 1) / divisor)
    }
}
