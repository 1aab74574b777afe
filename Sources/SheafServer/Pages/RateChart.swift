import SheafCore

/// A chart of tasks a second as the coordinates of an SVG.
struct RateChart {
    private static let (width, height) = (600.0, 120.0)

    let area: String
    let line: String
    /// The rates at the upper and the middle line of the grid.
    let (upper, middle): (String, String)
    /// What the chart shows, for people who cannot see it.
    let label: String

    /// When the chart begins.
    let start: String

    /// Creates a chart of the last 2, 5 or 10 minutes, whichever has all that is known; returns nil without any rate.
    init?(of batch: Name, _ history: RateHistory) {
        let known = history.age(of: batch)
        let span = [Duration.seconds(120), .seconds(300)].first { $0 >= known } ?? RateHistory.span
        self.init(history.rates(of: batch, span: span, parts: 60), span: span)
    }

    /// Creates a chart; returns nil if fewer than two rates are known or all are 0.
    init?(_ rates: [Double?], span: Duration) {
        start = "\(Figures.duration(span)) ago"
        let known = rates.indices.filter { rates[$0] != nil }
        guard known.count >= 2, let first = known.first, let last = known.last,
            rates.contains(where: { ($0 ?? 0) > 0 })
        else { return nil }
        let values = (first...last).map { rates[$0] ?? 0 }
        let top = Self.top(above: values.max() ?? 0)
        let step = Self.width / Double(max(1, rates.count - 1))
        func place(_ value: Double) -> String { String((value * 10).rounded() / 10) }
        let points = values.enumerated().map { offset, value in
            "\(place(Double(first + offset) * step)),\(place(Self.height - value / top * (Self.height - 12)))"
        }
        line = points.joined(separator: " ")
        area =
            "\(place(Double(first) * step)),\(place(Self.height)) \(line) "
            + "\(place(Double(last) * step)),\(place(Self.height))"
        (upper, middle) = (Figures.rate(top), Figures.rate(top / 2))
        let mean = values.reduce(0, +) / Double(values.count)
        label =
            "Tasks a second over the last \(Figures.duration(span)): \(Figures.rate(mean)) on average, "
            + "\(Figures.rate(values.max() ?? 0)) at most, \(Figures.rate(values.last ?? 0)) now"
    }

    /// The next of 1, 2 and 5 times a power of ten.
    private static func top(above value: Double) -> Double {
        var power = 0.1
        while power * 10 <= value { power *= 10 }
        return [1.0, 2, 5, 10].map { $0 * power }.first { $0 >= value } ?? power * 10
    }
}
