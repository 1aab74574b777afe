/// Decides what of a stream of progress is shown, and when: a bar ten times a second, or a line every few seconds.
struct ProgressPacer: Sendable {
    /// What is to be shown.
    enum Step: Sendable, Equatable {
        /// A bar in place of the one before.
        case bar(String)
        /// A line of its own.
        case line(String)
    }

    /// How often a bar is redrawn at most.
    static let barInterval = Duration.milliseconds(100)
    /// How often a line is written at most.
    static let lineInterval = Duration.seconds(5)

    private let renderer: ProgressRenderer
    private let isInteractive: Bool
    private var meter = RateMeter()
    private var nextAt: Duration
    private var shown: ProgressSample?

    init(renderer: ProgressRenderer, isInteractive: Bool) {
        self.renderer = renderer
        self.isInteractive = isInteractive
        // Work that takes less than one interval needs no line in a log.
        nextAt = isInteractive ? .zero : Self.lineInterval
    }

    /// Takes a sample at a moment, counted from the start; returns what to show, if anything.
    mutating func take(_ sample: ProgressSample, at moment: Duration, width: Int) -> Step? {
        meter.note(sample.done, at: moment)
        guard moment >= nextAt, isInteractive || sample != shown else { return nil }
        shown = sample
        nextAt = moment + (isInteractive ? Self.barInterval : Self.lineInterval)
        return isInteractive
            ? .bar(renderer.bar(sample, meter: meter, width: width)) : .line(renderer.line(sample, meter: meter))
    }
}
