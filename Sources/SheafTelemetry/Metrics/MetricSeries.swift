import Metrics
import Synchronization

/// One series of a registry; recording in it takes no lock and allocates nothing.
protocol MetricSeries: AnyObject, Sendable {
    func write(_ labels: PrometheusText.Labels, to text: inout PrometheusText)
    /// Whether it has nothing to show yet.
    var isBlank: Bool { get }
}

/// A floating-point number that many threads change at once.
private struct AtomicDouble: ~Copyable, Sendable {
    private let bits = Atomic(Double.zero.bitPattern)

    var value: Double { Double(bitPattern: bits.load(ordering: .relaxed)) }

    borrowing func set(_ value: Double) { bits.store(value.bitPattern, ordering: .relaxed) }

    borrowing func add(_ amount: Double) {
        var old = bits.load(ordering: .relaxed)
        while true {
            let new = (Double(bitPattern: old) + amount).bitPattern
            let (isExchanged, original) = bits.weakCompareExchange(
                expected: old,
                desired: new,
                ordering: .relaxed
            )
            if isExchanged { return }
            old = original
        }
    }
}

/// A counter of integers or of floating-point numbers.
final class CounterSeries: MetricSeries, CounterHandler, FloatingPointCounterHandler {
    private let count = Atomic(0)
    private let sum = AtomicDouble()

    func increment(by amount: Int64) { if amount > 0 { count.wrappingAdd(Int(amount), ordering: .relaxed) } }
    func increment(by amount: Double) { if amount > 0 { sum.add(amount) } }

    func reset() {
        count.store(0, ordering: .relaxed)
        sum.set(0)
    }

    func write(_ labels: PrometheusText.Labels, to text: inout PrometheusText) {
        text.sample(labels, Double(count.load(ordering: .relaxed)) + sum.value)
    }

    var isBlank: Bool { false }
}

/// A gauge.
final class GaugeSeries: MetricSeries, RecorderHandler, MeterHandler {
    private let level = AtomicDouble()

    func record(_ value: Int64) { level.set(Double(value)) }
    func record(_ value: Double) { level.set(value) }
    func set(_ value: Int64) { level.set(Double(value)) }
    func set(_ value: Double) { level.set(value) }
    func increment(by amount: Double) { level.add(amount) }
    func decrement(by amount: Double) { level.add(-amount) }

    func write(_ labels: PrometheusText.Labels, to text: inout PrometheusText) { text.sample(labels, level.value) }

    var isBlank: Bool { false }
}

/// A histogram of values, or of durations in seconds.
final class HistogramSeries: MetricSeries, RecorderHandler, TimerHandler {
    private final class Bucket: Sendable {
        let count = Atomic(0)
    }

    private let bounds: [Double]
    private let buckets: [Bucket]
    private let sum = AtomicDouble()

    init(bounds: [Double]) {
        self.bounds = bounds
        buckets = (0...bounds.count).map { _ in Bucket() }
    }

    func recordNanoseconds(_ duration: Int64) { record(Double(duration) / 1e9) }
    func record(_ value: Int64) { record(Double(value)) }

    func record(_ value: Double) {
        var place = 0
        while place < bounds.count, value > bounds[place] { place += 1 }
        buckets[place].count.wrappingAdd(1, ordering: .relaxed)
        sum.add(value)
    }

    func write(_ labels: PrometheusText.Labels, to text: inout PrometheusText) {
        text.histogram(labels, bounds: bounds, counts: counts, sum: sum.value)
    }

    /// Without a value it is left out: its many lines would show nothing.
    var isBlank: Bool { counts.allSatisfy { $0 == 0 } }

    private var counts: [Int] { buckets.map { $0.count.load(ordering: .relaxed) } }
}
