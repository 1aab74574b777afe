import SheafBroker
import SheafCore
import Synchronization

/// What the aggregator and its fan-out tell each other; neither waits for the other.
final class FanOutFeed: Sendable {
    /// What the aggregator has read of a batch since the fan-out looked last.
    struct News: Sendable {
        /// The offset of the results log from which on it was read.
        var start: Int64
        /// The offset up to which it was read.
        var end: Int64
        /// An entry with an outcome of each status, if there was one.
        var examples: [Outcome.Status: LogEntry] = [:]

        /// Adds what was read afterwards.
        mutating func join(_ later: News) {
            start = min(start, later.start)
            end = max(end, later.end)
            examples.merge(later.examples) { earlier, _ in earlier }
        }
    }

    private struct Contents {
        var news: [Name: News] = [:]
        var positions: [Name: CopyPosition] = [:]
        /// When outcomes were read last.
        var lastOutcomes: ContinuousClock.Instant?
    }

    private let contents = Mutex(Contents())

    /// How much later than the last report a batch may have ended without being known to it.
    private static let slack = Duration.seconds(5)

    /// Records that the aggregator has read a batch's results log from one offset up to another.
    func note(_ batch: Name, from start: Int64, to end: Int64, _ examples: [Outcome.Status: LogEntry] = [:]) {
        let news = News(start: start, end: end, examples: examples)
        contents.withLock { contents in
            if contents.news[batch]?.join(news) == nil { contents.news[batch] = news }
            if !examples.isEmpty { contents.lastOutcomes = .now }
        }
    }

    /// Returns the news since the last call.
    func take() -> [Name: News] {
        contents.withLock { contents in
            defer { contents.news = [:] }
            return contents.news
        }
    }

    /// Whether outcomes were read within this time.
    func hasOutcomes(within time: Duration) -> Bool {
        contents.withLock { $0.lastOutcomes.map { .now - $0 < time } ?? false }
    }

    /// How far each batch was copied.
    var positions: [Name: CopyPosition] { contents.withLock { $0.positions } }

    /// How far a batch was copied; assigning nil forgets it.
    subscript(_ batch: Name) -> CopyPosition? {
        get { contents.withLock { $0.positions[batch] } }
        set { contents.withLock { $0.positions[batch] = newValue } }
    }

    /// Continues from the last report of the previous aggregator.
    ///
    /// A batch that ended at about the time of that report, and is not in it, was not copied yet. A batch that ended
    /// earlier and is not in it was copied to its end.
    func inherit(_ report: LatestProgress, _ batches: [BatchInfo]) {
        var positions: [Name: CopyPosition] = [:]
        for batch in batches {
            if let known = report.copied?.positions[batch.id] {
                positions[batch.id] = known
            } else if let ending = batch.ending {
                guard let report = report.copied, ending.at > report.at + (.zero - Self.slack) else { continue }
                positions[batch.id] = CopyPosition(offset: batch.previousEnd)
            } else {
                positions[batch.id] = CopyPosition(offset: batch.previousEnd)
            }
        }
        let inherited = positions
        contents.withLock { contents in
            contents.news = [:]
            contents.positions = inherited
        }
    }
}
