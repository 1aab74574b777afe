import Glibc
import Synchronization

/// Shows progress on standard error.
final class ProgressDisplay: Sendable {
    private let console: Console
    private let clock = ContinuousClock()
    private let start: ContinuousClock.Instant
    private let pacer: Mutex<ProgressPacer>

    init(console: Console) {
        self.console = console
        start = clock.now
        pacer = Mutex(
            ProgressPacer(
                renderer: ProgressRenderer(style: Style(isOn: console.talk.hasColour)),
                isInteractive: console.talk.isInteractive
            )
        )
    }

    /// The time since the start.
    var elapsed: Duration { clock.now - start }

    /// Shows a sample, unless the last one was shown too recently.
    func show(_ sample: ProgressSample) {
        if console.isQuiet { return }
        let width = console.talk.isInteractive ? Terminal.width(of: STDERR_FILENO) : 80
        pacer.withLock { pacer in
            switch pacer.take(sample, at: elapsed, width: width) {
            case .bar(let text): console.show(bar: text)
            case .line(let text): console.say(text)
            case nil: break
            }
        }
    }

    /// Removes the bar.
    func end() { console.show(bar: nil) }
}

/// Decides which progress samples are shown: a bar at most ten times a second, or a line every few seconds.
struct ProgressPacer: Sendable {
    /// What to show.
    enum Step: Sendable, Equatable {
        /// A bar that replaces the last one.
        case bar(String)
        /// A line of its own.
        case line(String)
    }

    /// The shortest time between two bars.
    static let barInterval = Duration.milliseconds(100)
    /// The shortest time between two lines.
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

    /// Takes a sample and the time since the start; returns what to show, or nil.
    mutating func take(_ sample: ProgressSample, at elapsed: Duration, width: Int) -> Step? {
        meter.note(sample.done, at: elapsed)
        guard elapsed >= nextAt, isInteractive || sample != shown else { return nil }
        shown = sample
        nextAt = elapsed + (isInteractive ? Self.barInterval : Self.lineInterval)
        return isInteractive
            ? .bar(renderer.bar(sample, meter: meter, width: width)) : .line(renderer.line(sample, meter: meter))
    }
}
