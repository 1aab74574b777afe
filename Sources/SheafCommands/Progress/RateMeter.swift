/// Estimates how many are done a second from what was done in the last seconds.
struct RateMeter: Sendable {
    private var points: [(at: Duration, done: Int)] = []
    private let window: Duration

    init(window: Duration = .seconds(10)) { self.window = window }

    /// Notes how many are done at a moment, counted from any start.
    mutating func note(_ done: Int, at moment: Duration) {
        if let last = points.last, moment - last.at < .milliseconds(100), points.count > 1 { points.removeLast() }
        points.append((moment, done))
        while points.count > 2, points[1].at <= moment - window { points.removeFirst() }
    }

    /// How many a second, or nil while it is too early to say.
    var perSecond: Double? {
        guard let first = points.first, let last = points.last else { return nil }
        let elapsed = (last.at - first.at) / .seconds(1)
        return elapsed >= 0.5 && last.done > first.done ? Double(last.done - first.done) / elapsed : nil
    }

    /// How long the rest takes at this rate, or nil while it is too early to say.
    func remaining(of sample: ProgressSample) -> Duration? {
        guard let total = sample.total, total >= sample.done, let perSecond else { return nil }
        return .seconds(Double(total - sample.done) / perSecond)
    }
}
