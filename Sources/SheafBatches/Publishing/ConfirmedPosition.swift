/// How many tasks from the first one on are confirmed, while windows are confirmed in any order.
struct ConfirmedPosition {
    /// A run of tasks that is confirmed as one.
    struct Window: Hashable, Sendable {
        let start: Int
        let count: Int
        /// The digest of all records up to its end, where one is kept.
        var digest: String?
    }

    /// The tasks confirmed without a gap.
    private(set) var confirmed: Int
    /// The digest of their records, where one is kept.
    private(set) var digest: String?
    /// How many tasks were begun with.
    private(set) var opened: Int
    private var closed: [Int: Window] = [:]
    private var told: Int
    private var toldAt: ContinuousClock.Instant?

    /// Starts behind tasks that were confirmed before.
    init(startingAt position: Int = 0) { (confirmed, opened, told) = (position, position, position) }

    mutating func open(count: Int, digest: String? = nil) -> Window {
        defer { opened += count }
        return Window(start: opened, count: count, digest: digest)
    }

    mutating func close(_ window: Window) {
        closed[window.start] = window
        while let next = closed.removeValue(forKey: confirmed), next.count > 0 {
            confirmed += next.count
            digest = next.digest
        }
    }

    /// Whether the position is worth telling: the first one, and then after so many tasks or so much time.
    mutating func isNews(after count: Int, or interval: Duration, now: ContinuousClock.Instant = .now) -> Bool {
        guard confirmed > told else { return false }
        if let toldAt, confirmed - told < count, now - toldAt < interval { return false }
        (told, toldAt) = (confirmed, now)
        return true
    }
}
