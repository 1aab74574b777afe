/// What a batch does when tasks fail.
public enum ErrorPolicy: Sendable, Hashable, CustomStringConvertible {
    /// The batch continues; failures are only counted.
    case `continue`
    /// The batch stops when more than this many tasks have failed; 0 is plain `stop`.
    case stop(above: Int)
    /// The batch stops when more than this percentage of the total has failed; applies once the total is known.
    case stopPercent(above: Double)

    /// Parses `continue`, `stop`, `stop:N` or `stop:P%`; returns nil for anything else.
    public init?(_ text: String) {
        if text == "continue" {
            self = .continue
        } else if text == "stop" {
            self = .stop(above: 0)
        } else if text.hasPrefix("stop:") {
            let limit = text.dropFirst(5)
            if limit.hasSuffix("%") {
                guard let percent = Double(limit.dropLast()), percent >= 0, percent <= 100 else { return nil }
                self = .stopPercent(above: percent)
            } else {
                guard let count = Int(limit), count >= 0 else { return nil }
                self = .stop(above: count)
            }
        } else {
            return nil
        }
    }

    /// The accepted forms, for error messages.
    package static let rule =
        "continue, stop, stop:N (N failures are tolerated) or stop:P% (P percent of the total are)"

    /// The policy in the form that ``init(_:)`` parses.
    public var description: String {
        switch self {
        case .continue: "continue"
        case .stop(above: 0): "stop"
        case .stop(let count): "stop:\(count)"
        case .stopPercent(let percent): percent == percent.rounded() ? "stop:\(Int(percent))%" : "stop:\(percent)%"
        }
    }

    /// Returns whether this number of failures stops the batch; `total` is nil until the batch is sealed.
    package func isExceeded(failures: Int, total: Int?) -> Bool {
        switch self {
        case .continue: false
        case .stop(let limit): failures > limit
        case .stopPercent(let percent):
            if let total { Double(failures) * 100 > percent * Double(total) } else { false }
        }
    }
}
