import SheafBroker

/// One rung of the delay ladder: an eighth of a second, doubled so and so often.
struct DelayStep: Hashable {
    private static let shortest: Int64 = 125
    /// 12 days; RabbitMQ's own limit is 49.
    private static let longest = shortest << 23

    /// How long a message stays on it.
    let milliseconds: Int64

    /// Makes the shortest step that is not shorter than the delay.
    init(for delay: Duration) throws {
        guard delay <= .milliseconds(Self.longest) else {
            throw BrokerError(.invalidArgument, "a delay of \(delay) is longer than \(Self.longest / 1000) seconds")
        }
        var step = Self.shortest
        while .milliseconds(step) < delay { step *= 2 }
        self.milliseconds = step
    }

    /// The step in names, such as `125ms` or `8s`.
    var name: String { milliseconds % 1000 == 0 ? "\(milliseconds / 1000)s" : "\(milliseconds)ms" }
}
