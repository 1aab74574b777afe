import Glibc
import Synchronization

/// Shows progress on standard error while something goes on.
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

    /// Shows a sample, unless one was shown a moment ago.
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

    /// Takes the bar away.
    func end() { console.show(bar: nil) }
}
