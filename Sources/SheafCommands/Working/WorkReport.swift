import Sheaf

/// Tells the person at the terminal what a worker does and has done.
struct WorkReport: Sendable {
    private let console: Console
    private let display: ProgressDisplay

    init(console: Console) {
        self.console = console
        display = ProgressDisplay(console: console)
    }

    /// Shows what was done so far, until it is cancelled.
    @concurrent
    func show(_ report: @Sendable () -> WorkerReport) async throws {
        while true {
            try await Task.sleep(for: ProgressPacer.barInterval)
            let current = report()
            display.show(ProgressSample(title: "running", done: current.finished, failed: current.failed))
        }
    }

    /// Says what was done in the end.
    func end(_ report: WorkerReport) {
        display.end()
        for batch in report.interrupted {
            console.complain(
                "sheaf: batch \(batch) was never published in full, and its creator is gone; "
                    + "'sheaf create --resume \(batch)' publishes the rest, 'sheaf cancel \(batch)' drops it"
            )
        }
        for batch in report.missing {
            console.complain(
                "sheaf: the broker has lost tasks of batch \(batch); 'sheaf retry \(batch) --missing' publishes them again"
            )
        }
        console.say(Self.summary(report, elapsed: display.elapsed))
    }

    /// What was done, in words.
    static func summary(_ report: WorkerReport, elapsed: Duration) -> String {
        guard report.finished + report.retried + report.returned > 0 else {
            return "no tasks were run in \(Wording.duration(elapsed))"
        }
        let rate = Double(report.finished) / max(elapsed / .seconds(1), 0.001)
        var text = "ran \(Wording.count(report.finished, "task")) in \(Wording.duration(elapsed))"
        text += " (\(Wording.rate(rate)))"
        text += ": \(report.succeeded) succeeded, \(report.failed) failed"
        if report.retried > 0 { text += ", \(report.retried) to be tried again" }
        if report.returned > 0 { text += ", \(report.returned) given back" }
        return text
    }
}
