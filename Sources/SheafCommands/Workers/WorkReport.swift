import Sheaf

/// Shows what a worker does and has done.
struct WorkReport: Sendable {
    private let console: Console
    private let display: ProgressDisplay

    init(console: Console) {
        self.console = console
        display = ProgressDisplay(console: console)
    }

    /// Shows the progress until it is cancelled.
    @concurrent
    func show(_ report: @Sendable () -> WorkerReport) async throws {
        while true {
            try await Task.sleep(for: ProgressPacer.barInterval)
            let current = report()
            display.show(ProgressSample(title: "running", done: current.finished, failed: current.failed))
        }
    }

    /// Prints the result.
    func end(_ report: WorkerReport) {
        display.end()
        for batch in report.interrupted {
            console.complain(
                "sheaf: batch \(batch) was never published in full, and its creator is gone; "
                    + "\(Wording.commandLine(for: .resumeCreation(batch))), 'sheaf cancel \(batch)' drops it"
            )
        }
        for batch in report.missing {
            console.complain(
                "sheaf: the broker has lost tasks of batch \(batch); \(Wording.commandLine(for: .retryMissing(batch)))"
            )
        }
        console.say(Self.summary(report, elapsed: display.elapsed))
    }

    /// Returns the result in words.
    static func summary(_ report: WorkerReport, elapsed: Duration) -> String {
        guard report.finished + report.cancelled + report.retried + report.returned > 0 else {
            return "no tasks were run in \(Wording.duration(elapsed))"
        }
        let rate = Double(report.finished) / max(elapsed / .seconds(1), 0.001)
        var text = "ran \(Wording.count(report.finished, "task")) in \(Wording.duration(elapsed))"
        text += " (\(Wording.rate(rate)))"
        text += ": \(report.succeeded) succeeded, \(report.failed) failed"
        if report.cancelled > 0 { text += ", \(report.cancelled) cancelled" }
        if report.retried > 0 { text += ", \(report.retried) retried" }
        if report.returned > 0 { text += ", \(report.returned) returned to the queue" }
        return text
    }
}

extension WorkerReport {
    /// Returns the sum of two workers that ran one after the other; lists come from this one, the later.
    func following(_ earlier: WorkerReport?) -> WorkerReport {
        guard let earlier else { return self }
        var sum = self
        sum.succeeded += earlier.succeeded
        sum.failed += earlier.failed
        sum.cancelled += earlier.cancelled
        sum.retried += earlier.retried
        sum.returned += earlier.returned
        sum.broken += earlier.broken
        return sum
    }
}
