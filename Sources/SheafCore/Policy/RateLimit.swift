/// How many calls may begin in a time, over all workers: `100/s`, `600/m`.
///
/// It is kept by tokens: each lets one call begin and comes back after its lifetime. So in any window of time no more calls begin
/// than the rate allows for it, and one burst.
public struct RateLimit: Sendable, Hashable, CustomStringConvertible {
    /// What a rate looks like, for error messages.
    public static let rule = "a rate such as 100/s, 600/m or 5000/h"
    /// The most calls in a second.
    public static let maximum = 10_000
    /// How many bursts there are in a second at most.
    private static let burstsPerSecond = 10.0
    private static let units: [(name: String, seconds: Int)] = [("s", 1), ("m", 60), ("h", 3600), ("d", 86400)]

    /// The number of calls.
    public let count: Int
    /// The time they are for, in seconds: that of one unit.
    public let seconds: Int

    /// Reads a rate: a whole number, `/`, and one of `s`, `m`, `h`, `d`; nil where it is none, or more than there can be.
    public init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, parts[0].utf8.allSatisfy({ (0x30...0x39).contains($0) }), let count = Int(parts[0]),
            count > 0, let unit = Self.units.first(where: { $0.name == parts[1] }),
            count <= Self.maximum * unit.seconds
        else { return nil }
        self.count = count
        self.seconds = unit.seconds
    }

    /// Calls a second.
    public var perSecond: Double { Double(count) / Double(seconds) }

    /// How many tokens there are: the most calls that may begin at once.
    public var burst: Int { max(1, Int((perSecond / Self.burstsPerSecond).rounded(.up))) }

    /// How long a token is away once it was spent.
    ///
    /// Less a millisecond: no broker hands a message on, and no worker spends it, in less than that.
    public var tokenLifetime: Duration {
        .milliseconds(Int(Double(burst) / perSecond * 1000) - 1)
    }

    /// The rate as it is written.
    public var description: String { "\(count)/\(Self.units.first { $0.seconds == seconds }?.name ?? "s")" }
}
