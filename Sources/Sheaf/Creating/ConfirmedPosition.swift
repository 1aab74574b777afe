/// How many tasks from the first one on are confirmed, while windows are confirmed in any order.
struct ConfirmedPosition {
    /// A run of tasks that is confirmed as one.
    struct Window: Hashable, Sendable {
        let start: Int
        let count: Int
    }

    /// The tasks confirmed without a gap.
    private(set) var confirmed = 0
    private var opened = 0
    private var closed: [Int: Int] = [:]
    private var told = 0
    private var toldAt: ContinuousClock.Instant?

    mutating func open(count: Int) -> Window {
        defer { opened += count }
        return Window(start: opened, count: count)
    }

    mutating func close(_ window: Window) {
        closed[window.start] = window.count
        while let count = closed.removeValue(forKey: confirmed), count > 0 { confirmed += count }
    }

    /// Whether the position is worth telling: the first one, and then after so many tasks or so much time.
    mutating func isNews(after count: Int, or interval: Duration, now: ContinuousClock.Instant = .now) -> Bool {
        guard confirmed > told else { return false }
        if let toldAt, confirmed - told < count, now - toldAt < interval { return false }
        (told, toldAt) = (confirmed, now)
        return true
    }
}
