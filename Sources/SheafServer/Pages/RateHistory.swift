import ServiceLifecycle
import SheafBatches
import SheafCore
import Synchronization

/// How many tasks of each batch have ended when, over the last minutes, for rates and charts.
///
/// It is kept in memory only: a server that has just started knows no rate of the past.
final class RateHistory: Service {
    /// The number of ended tasks at a time.
    private struct Sample {
        var at: ContinuousClock.Instant
        var settled: Int
    }

    private struct Contents {
        var samples: [Name: [Sample]] = [:]
    }

    private let directory: BatchDirectory
    private let contents = Mutex(Contents())

    /// How often numbers are sampled.
    static let interval = Duration.seconds(2)
    /// How far back a chart goes.
    static let span = Duration.seconds(600)
    /// How far back a present rate looks.
    private static let recent = Duration.seconds(20)
    /// How many batches have a history at most; the newest ones have one.
    private static let maximumBatches = 500

    init(directory: BatchDirectory) { self.directory = directory }

    func run() async throws {
        do {
            try await cancelWhenGracefulShutdown {
                while true {
                    self.sample(self.directory.snapshot)
                    try await Task.sleep(for: Self.interval)
                }
            }
        } catch is CancellationError {
            try Task.checkCancellation()  // after a graceful shutdown the task itself is not cancelled
        }
    }

    /// Records the numbers of the batches that have not ended, and the last ones of those that just did.
    func sample(_ batches: [BatchSummary], at now: ContinuousClock.Instant = .now) {
        contents.withLock { contents in
            for (id, samples) in contents.samples where samples.last.map({ now - $0.at > Self.span }) ?? true {
                contents.samples[id] = nil
            }
            let active = batches.suffix(Self.maximumBatches).filter { batch in
                batch.info.ending == nil
                    || contents.samples[batch.info.id]?.last?.settled != batch.counts.settled
                        && contents.samples[batch.info.id] != nil
            }
            for batch in active {
                var samples = contents.samples[batch.info.id] ?? []
                samples.append(Sample(at: now, settled: batch.counts.settled))
                samples.trimPrefix { now - $0.at > Self.span }
                contents.samples[batch.info.id] = samples
            }
        }
    }

    /// The present rate of a batch in tasks a second, or nil if it is not known.
    func rate(of batch: Name, now: ContinuousClock.Instant = .now) -> Double? {
        let samples = contents.withLock { $0.samples[batch] ?? [] }
        guard let last = samples.last, now - last.at < Self.recent else { return nil }
        let start = samples.last { last.at - $0.at >= Self.recent } ?? samples.first
        guard let start, last.at - start.at >= Self.interval else { return nil }
        return max(0, Double(last.settled - start.settled)) / ((last.at - start.at) / .seconds(1))
    }

    /// How long ago the first sample of a batch was taken.
    func age(of batch: Name, now: ContinuousClock.Instant = .now) -> Duration {
        contents.withLock { $0.samples[batch]?.first.map { now - $0.at } } ?? .zero
    }

    /// The tasks a second of a batch in equal parts of the last minutes, oldest first; nil for parts without samples.
    func rates(of batch: Name, span: Duration, parts: Int, now: ContinuousClock.Instant = .now) -> [Double?] {
        let samples = contents.withLock { $0.samples[batch] ?? [] }
        let part = span / parts
        var ended = [Double](repeating: 0, count: parts)
        var seconds = [Double](repeating: 0, count: parts)
        for (from, to) in zip(samples, samples.dropFirst()) where to.at > from.at {
            // The tasks of an interval are spread evenly over the parts that it touches.
            let (newest, oldest) = (Int((now - to.at) / part), min(Int((now - from.at) / part), parts))
            guard newest < parts else { continue }
            let share = 1 / Double(oldest - newest + 1)
            for place in newest...min(oldest, parts - 1) {
                ended[parts - 1 - place] += max(0, Double(to.settled - from.settled)) * share
                seconds[parts - 1 - place] += (to.at - from.at) / .seconds(1) * share
            }
        }
        return ended.indices.map { seconds[$0] > 0 ? ended[$0] / seconds[$0] : nil }
    }
}

extension Array {
    fileprivate mutating func trimPrefix(while isOld: (Element) -> Bool) {
        let count = prefix(while: isOld).count
        if count > 0 { removeFirst(count) }
    }
}
