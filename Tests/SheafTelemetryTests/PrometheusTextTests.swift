import Metrics
import SheafTelemetry
import Testing

@Suite("Text format of Prometheus") struct PrometheusTextTests {
    @Test(
        "Labels are sanitized and escaped",
        arguments: [
            ([("flow", "a")], #"m{flow="a"} 1"#),
            ([("flow", #"a"b\c"#)], #"m{flow="a\"b\\c"} 1"#),
            ([("flow", "a\nb")], #"m{flow="a\nb"} 1"#),
            ([("flow", "é世")], #"m{flow="é世"} 1"#),
            ([("my-label", "x"), ("9z", "y")], #"m{my_label="x",_z="y"} 1"#),
            ([("a:b", "x")], #"m{a_b="x"} 1"#),
            ([("a", "first"), ("a", "second")], #"m{a="second"} 1"#),
            ([("", "x")], #"m{_="x"} 1"#),
            ([], "m 1"),
        ] as [([(name: String, value: String)], String)]
    ) func escapesLabels(labels: [(name: String, value: String)], line: String) {
        var text = PrometheusText()
        text.begin("m", .counter, help: "Help.")
        text.sample(PrometheusText.Labels(labels), 1)
        #expect(text.text == "# HELP m Help.\n# TYPE m counter\n\(line)\n")
    }

    @Test(
        "Numbers are written as Prometheus reads them",
        arguments: [
            (0, "0"), (5, "5"), (-3, "-3"), (0.005, "0.005"), (2.5, "2.5"), (1e20, "1e+20"), (.infinity, "+Inf"),
            (-.infinity, "-Inf"), (.nan, "NaN"),
        ] as [(Double, String)]
    ) func writesNumbers(value: Double, written: String) {
        var text = PrometheusText()
        text.begin("m", .gauge, help: "")
        text.sample(PrometheusText.Labels(), value)
        #expect(text.text.hasSuffix("\nm \(written)\n"))
    }

    @Test("Backslashes and line breaks of a help text are escaped, quotes are not") func escapesHelp() {
        var text = PrometheusText()
        text.begin("m", .gauge, help: "a\\b\n\"c\"")
        #expect(text.text.hasPrefix(#"# HELP m a\\b\n"c""# + "\n"))
    }

    @Test("The buckets of a histogram add up, and the last one is infinite") func cumulatesBuckets() {
        var text = PrometheusText()
        text.begin("h", .histogram, help: "H.")
        text.histogram(PrometheusText.Labels([("flow", "a")]), bounds: [0.5, 1], counts: [2, 0, 1], sum: 7.25)
        #expect(
            text.text == """
                # HELP h H.
                # TYPE h histogram
                h_bucket{flow="a",le="0.5"} 2
                h_bucket{flow="a",le="1"} 2
                h_bucket{flow="a",le="+Inf"} 3
                h_sum{flow="a"} 7.25
                h_count{flow="a"} 3

                """
        )
    }
}

@Suite("Prometheus registry") struct PrometheusRegistryTests {
    @Test("Metrics of every kind of swift-metrics are exported") func exportsEveryKind() {
        let registry = PrometheusRegistry()
        Counter(label: "a_total", dimensions: [("flow", "x")], factory: registry).increment(by: 3)
        let seconds = FloatingPointCounter(label: "b_total", factory: registry)
        seconds.increment(by: 0.25)
        seconds.increment(by: 0.5)
        Gauge(label: "c", factory: registry).record(-2)
        let meter = Meter(label: "d", factory: registry)
        meter.set(10)
        meter.decrement(by: 2.5)
        Timer(label: "e_seconds", factory: registry).recordMilliseconds(20)
        Recorder(label: "f", factory: registry).record(4)
        let lines = registry.text.split(separator: "\n").filter { !$0.hasPrefix("# HELP") }
        for line in [
            "# TYPE a_total counter", #"a_total{flow="x"} 3"#, "# TYPE b_total counter", "b_total 0.75",
            "# TYPE c gauge", "c -2", "# TYPE d gauge", "d 7.5", "# TYPE e_seconds histogram",
            #"e_seconds_bucket{le="0.01"} 0"#, #"e_seconds_bucket{le="0.025"} 1"#, "e_seconds_sum 0.02",
            "e_seconds_count 1", "# TYPE f histogram", #"f_bucket{le="5"} 1"#, "f_sum 4",
        ] {
            #expect(lines.contains(Substring(line)), "\(line)")
        }
    }

    @Test("A value on the bound of a bucket belongs to the bucket") func includesBounds() {
        let registry = PrometheusRegistry()
        Timer(label: "t", factory: registry).recordMilliseconds(5)
        #expect(registry.text.contains(#"t_bucket{le="0.005"} 1"#))
    }

    @Test("The same name and labels are the same series") func sharesSeries() {
        let registry = PrometheusRegistry()
        for _ in 0..<3 { Counter(label: "a_total", dimensions: [("k", "v")], factory: registry).increment() }
        #expect(registry.text.contains("a_total{k=\"v\"} 3\n"))
    }

    @Test("Series beyond the maximum are refused and counted") func boundsSeries() {
        let registry = PrometheusRegistry(maximumSeries: 10)
        for number in 0..<25 {
            Counter(label: "a_total", dimensions: [("n", "\(number)")], factory: registry).increment()
        }
        let text = registry.text
        #expect(text.split(separator: "\n").count { $0.hasPrefix("a_total{") } == 10)
        #expect(text.contains("sheaf_metrics_refused_series_total 15\n"))
    }

    @Test("A name of another kind is refused and harms nothing") func refusesAnotherKind() {
        let registry = PrometheusRegistry()
        Counter(label: "a", factory: registry).increment()
        Gauge(label: "a", factory: registry).record(7)
        #expect(registry.text.contains("# TYPE a counter\na 1\n"))
        #expect(registry.text.contains("sheaf_metrics_refused_series_total 1\n"))
    }

    @Test("A destroyed metric disappears and makes room") func destroys() {
        let registry = PrometheusRegistry(maximumSeries: 1)
        let counter = Counter(label: "a_total", factory: registry)
        counter.increment()
        counter.destroy()
        #expect(!registry.text.contains("a_total"))
        Counter(label: "b_total", factory: registry).increment()
        #expect(registry.text.contains("b_total 1\n"))
    }

    @Test("No increment of many threads is lost") func countsConcurrently() async {
        let registry = PrometheusRegistry()
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    let counter = Counter(label: "a_total", factory: registry)
                    let seconds = FloatingPointCounter(label: "b_total", factory: registry)
                    let timer = Timer(label: "t", factory: registry)
                    for _ in 0..<10_000 {
                        counter.increment()
                        seconds.increment(by: 0.5)
                        timer.recordSeconds(1)
                    }
                }
            }
        }
        let text = registry.text
        #expect(text.contains("a_total 80000\n"))
        #expect(text.contains("b_total 40000\n"))
        #expect(text.contains("t_count 80000\n") && text.contains("t_sum 80000\n"))
    }
}
