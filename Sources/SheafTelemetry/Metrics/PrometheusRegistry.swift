public import Metrics
import Synchronization

/// Collects the metrics of a program and writes them in the text format of Prometheus.
///
/// Bootstrap `MetricsSystem` with it, or pass it to ``WorkerMetrics``, and answer `GET /metrics` with ``text``. Timers
/// are histograms in seconds, and so are recorders that aggregate, in their own unit.
public final class PrometheusRegistry: MetricsFactory {
    private struct Family {
        let kind: MetricDefinition.Kind
        let help: String
        let bounds: [Double]
        var series: [PrometheusText.Labels: any MetricSeries] = [:]
    }

    private struct Contents {
        var families: [String: Family] = [:]
        var count = 0
        var refused = 0
    }

    private let contents = Mutex(Contents())
    private let maximumSeries: Int

    /// Creates an empty registry.
    ///
    /// - Parameter maximumSeries: How many series it holds. What is recorded in more of them is lost and counted in
    ///   `sheaf_metrics_refused_series_total`.
    public init(maximumSeries: Int = 2_000) {
        self.maximumSeries = maximumSeries
    }

    /// All metrics in the text format, version 0.0.4; its media type is `text/plain; version=0.0.4`.
    public var text: String {
        let (families, refused) = contents.withLock { ($0.families, $0.refused) }
        var text = PrometheusText()
        for (name, family) in families.sorted(by: { $0.key < $1.key }) {
            let series = family.series.filter { !$0.value.isBlank }
            if series.isEmpty { continue }
            text.begin(name, family.kind, help: family.help)
            for (labels, series) in series.sorted(by: { $0.key < $1.key }) { series.write(labels, to: &text) }
        }
        text.begin(MetricCatalog.refusedSeries)
        text.sample(PrometheusText.Labels(), refused)
        return text.text
    }

    // MARK: Handlers

    /// Makes a counter.
    public func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        series(label, dimensions, .counter) { _ in CounterSeries() } ?? NOOPMetricsHandler.instance
    }

    /// Makes a counter of floating-point numbers.
    public func makeFloatingPointCounter(
        label: String,
        dimensions: [(String, String)]
    ) -> any FloatingPointCounterHandler {
        series(label, dimensions, .counter) { _ in CounterSeries() } ?? CounterSeries()
    }

    /// Makes a gauge that can be increased and decreased.
    public func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        series(label, dimensions, .gauge) { _ in GaugeSeries() } ?? NOOPMetricsHandler.instance
    }

    /// Makes a histogram if values are aggregated, else a gauge.
    public func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
        let handler: (any RecorderHandler)? =
            if aggregate {
                series(label, dimensions, .histogram) { HistogramSeries(bounds: $0) }
            } else {
                series(label, dimensions, .gauge) { _ in GaugeSeries() }
            }
        return handler ?? NOOPMetricsHandler.instance
    }

    /// Makes a histogram of durations.
    public func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        series(label, dimensions, .histogram) { HistogramSeries(bounds: $0) } ?? NOOPMetricsHandler.instance
    }

    /// Removes a counter.
    public func destroyCounter(_ handler: any CounterHandler) { remove(handler) }
    /// Removes a counter of floating-point numbers.
    public func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) { remove(handler) }
    /// Removes a gauge.
    public func destroyMeter(_ handler: any MeterHandler) { remove(handler) }
    /// Removes a histogram or gauge.
    public func destroyRecorder(_ handler: any RecorderHandler) { remove(handler) }
    /// Removes a histogram.
    public func destroyTimer(_ handler: any TimerHandler) { remove(handler) }

    /// Returns the series with a name and labels; nil if it is of another kind or one too many.
    private func series<Series: MetricSeries>(
        _ label: String,
        _ dimensions: [(String, String)],
        _ kind: MetricDefinition.Kind,
        _ make: ([Double]) -> Series
    ) -> Series? {
        let name = PrometheusText.metricName(label)
        let labels = PrometheusText.Labels(dimensions.map { (name: $0.0, value: $0.1) })
        return contents.withLock { contents in
            let known = MetricCatalog.byName[name]
            let family =
                contents.families[name]
                ?? Family(
                    kind: kind,
                    help: known?.help ?? "Reported by this program.",
                    bounds: known?.bounds ?? MetricDefinition.taskBounds
                )
            if let old = family.series[labels] as? Series { return old }
            guard family.kind == kind, family.series[labels] == nil, contents.count < maximumSeries else {
                contents.refused += 1
                return nil
            }
            let series = make(family.bounds)
            contents.families[name, default: family].series[labels] = series
            contents.count += 1
            return series
        }
    }

    private func remove(_ handler: AnyObject) {
        contents.withLock { contents in
            for (name, family) in contents.families {
                guard let place = family.series.firstIndex(where: { $0.value === handler }) else { continue }
                contents.families[name]?.series.remove(at: place)
                contents.count -= 1
                return
            }
        }
    }
}
