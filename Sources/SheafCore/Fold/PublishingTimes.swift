/// When the tasks of a batch were published, as far as its journal says, until the batch is sealed.
///
/// One point a minute is enough: the times tell when tasks have waited for hours.
struct PublishingTimes: Sendable, Equatable {
    private struct Point: Sendable, Equatable {
        var count: Int
        var at: Timestamp
    }

    /// The least time between two points.
    private static let interval = Duration.seconds(60)

    private var points: [Point] = []

    /// Records that so many tasks, more than ever before, were published at a time; does nothing just after a point.
    mutating func add(_ count: Int, at time: Timestamp) {
        if let last = points.last, time - last.at < Self.interval { return }
        points.append(Point(count: count, at: time))
    }

    /// Forgets all times.
    mutating func clear() { points = [] }

    /// How many points there are.
    var count: Int { points.count }

    /// Returns when a task was published at the latest; nil if there is no point after its publishing yet.
    func time(ofTask index: Int) -> Timestamp? { points.first { $0.count > index }?.at }
}
