import SheafBatches
import SheafCore

/// The status of a batch or a task as a word, an icon and a hue.
struct StatusLook {
    let word: String
    /// The name of the icon and of the class that colours both.
    let icon: String
    private(set) var hue: String

    init(_ status: BatchStatus) {
        switch status {
        case .pending: (word, icon, hue) = ("pending", "wait", "quiet")
        case .processing: (word, icon, hue) = ("processing", "run", "run")
        case .paused: (word, icon, hue) = ("paused", "pause", "hold")
        case .completed: (word, icon, hue) = ("completed", "done", "ok")
        case .failed: (word, icon, hue) = ("failed", "stop", "bad")
        case .cancelled: (word, icon, hue) = ("cancelled", "cancel", "quiet")
        }
    }

    /// Shows a batch of which every task failed as bad, although it is completed.
    init(of batch: BatchSummary) {
        self.init(batch.status)
        if batch.status == .completed, batch.counts.succeeded == 0, batch.counts.failed > 0 { hue = "bad" }
    }

    init(word: String) {
        self.word = word
        switch word {
        case "succeeded": (icon, hue) = ("done", "ok")
        case "failed": (icon, hue) = ("fail", "bad")
        case "running": (icon, hue) = ("run", "run")
        case "cancelled": (icon, hue) = ("cancel", "quiet")
        default: (icon, hue) = ("wait", "quiet")
        }
    }
}

/// A bar that divides the tasks of a batch by their states; its unit is a thousandth.
struct Meter {
    struct Part {
        let name: String
        let x: String
        let width: String
    }

    let parts: [Part]
    let percent: Int
    let label: String
    let text: String

    init(_ batch: BatchSummary) {
        let counts = batch.counts
        let total = max(1, counts.total)
        var place = 0.0
        var parts: [Part] = []
        for (name, count) in [("ok", counts.succeeded), ("bad", counts.failed), ("run", counts.running)]
        where count > 0 {
            // Few failures of a million tasks are still to be seen.
            let width = min(max(Double(count) / Double(total) * 1000, 4), 1000 - place)
            parts.append(Part(name: name, x: Self.decimal(place), width: Self.decimal(width)))
            place += width
        }
        self.parts = parts
        percent = Figures.percent(counts.settled, of: counts.total)
        let isGrowing = !batch.isSealed
        text = "\(Figures.number(counts.settled)) of \(Figures.number(counts.total))\(isGrowing ? " so far" : "")"
        label =
            "\(text), \(Figures.number(counts.failed)) failed"
            + (counts.running > 0 ? ", \(Figures.number(counts.running)) running" : "")
    }

    private static func decimal(_ value: Double) -> String { String((value * 10).rounded() / 10) }
}

/// How a batch stands, in one sentence each.
struct BatchLook {
    let batch: BatchSummary
    let rate: Double?
    var now = Timestamp.now

    /// Whether tasks of the batch may still run without a person.
    var isActive: Bool { batch.status == .processing || batch.status == .pending }

    /// The tasks that wait or run.
    var open: Int { batch.counts.pending + batch.counts.running }

    /// How long the batch still takes at its present rate.
    var timeLeft: String? {
        guard batch.status == .processing, batch.isSealed, open > 0, let rate, rate > 0 else { return nil }
        return Figures.duration(.seconds(min((Double(open) / rate).rounded(.up), 1e9)))
    }

    /// What a row of the list adds to the status.
    var remark: String {
        switch batch.status {
        case .completed, .cancelled, .failed:
            if batch.status == .failed, let reason = batch.info.stopped?.reason { return "stopped: \(reason)" }
            guard let start = batch.startedAt, let end = batch.finishedAt, end > start else { return "" }
            return "took \(Figures.duration(end - start))"
        case .paused: return batch.counts.running > 0 ? "running tasks finish" : "starts no task"
        case .pending, .processing:
            if batch.isInterrupted { return "its creator is gone" }
            if batch.missing > 0 { return "\(Figures.count(batch.missing, "task")) lost" }
            if batch.questions > 0 { return Figures.count(batch.questions, "open question") }
            if let limited = batch.limited { return "waits for \(limited.key)" }
            if let timeLeft { return "\(timeLeft) left" }
            return batch.counts.running == 0 && batch.status == .pending ? "waits for a worker" : ""
        }
    }
}

/// A sentence about why a batch does not simply go on, and what to do.
struct BatchNote {
    let hue: String
    let head: String
    let text: String
    var command: String?
    var href: String?
    var action: String?

    /// Returns what is to be said about a batch, most important first.
    static func all(of batch: BatchSummary, base: String, now: Timestamp = .now) -> [BatchNote] {
        let id = batch.info.id.text
        var notes: [BatchNote] = []
        if batch.status == .failed, let stop = batch.info.stopped {
            var note = BatchNote(
                hue: "bad",
                head: "The batch is stopped.",
                text: "\(stop.reason). \(Figures.count(batch.counts.pending, "task")) wait."
            )
            switch batch.info.stopAdvice {
            case .retryMissing?: note.command = "sheaf retry \(id) --missing"
            case .setMaxRunning?: note.command = "sheaf set \(id) max_running=N"
            case .forceDeletion?: note.command = "sheaf delete \(id) --force"
            default: note.command = batch.info.ending == nil ? "sheaf resume \(id)" : "sheaf retry \(id)"
            }
            notes.append(note)
        }
        if batch.isInterrupted, batch.info.cancelled == nil {
            notes.append(
                BatchNote(
                    hue: "bad",
                    head: "The creation was interrupted.",
                    text: "Its creator is gone after at least \(Figures.count(batch.total, "task")). This goes on:",
                    command: "sheaf create --resume \(id)"
                )
            )
        }
        if batch.missing > 0 {
            notes.append(
                BatchNote(
                    hue: "bad",
                    head: "The broker has lost \(Figures.count(batch.missing, "task")).",
                    text: "This publishes them again:",
                    command: "sheaf retry \(id) --missing"
                )
            )
        }
        if batch.isTrimmed {
            notes.append(
                BatchNote(
                    hue: "bad",
                    head: "Outcomes are gone.",
                    text: "The broker removed them from the results log before they were counted."
                )
            )
        }
        if batch.status == .paused {
            notes.append(
                BatchNote(
                    hue: "hold",
                    head: batch.info.awaitsResume ? "The pilot is over." : "The batch is paused.",
                    text: pauseText(of: batch)
                )
            )
        }
        if batch.questions > 0 {
            notes.append(
                BatchNote(
                    hue: "hold",
                    head: batch.questions == 1
                        ? "1 task asks a question." : "\(Figures.number(batch.questions)) tasks ask a question.",
                    text: "They wait for an answer; the others go on.",
                    href: "\(base)/questions",
                    action: "Answer"
                )
            )
        }
        if let limited = batch.limited {
            let pause = limited.until.flatMap { $0 > now ? Figures.duration($0 - now) : nil }
            notes.append(
                BatchNote(
                    hue: "hold",
                    head: "\(Figures.count(limited.tasks, "task")) wait for \(limited.key).",
                    text: pause.map { "The service asked for a pause of another \($0)." } ?? "They start at its rate."
                )
            )
        }
        if batch.status == .pending, batch.counts.running == 0, !batch.isInterrupted {
            notes.append(
                BatchNote(
                    hue: "quiet",
                    head: "No task has started.",
                    text: "A worker that has flow ‘\(batch.info.flow)’ runs them:",
                    command: "sheaf run"
                )
            )
        }
        return notes
    }

    private static func pauseText(of batch: BatchSummary) -> String {
        if batch.counts.running > 0 { return "Running tasks finish, and no other task starts." }
        guard batch.info.awaitsResume, let pilot = batch.pilot else { return "No task starts until it is resumed." }
        let failures = Figures.number(pilot.projectedFailures(of: batch.total))
        return "\(Figures.number(pilot.succeeded)) of \(Figures.count(pilot.tasks, "task")) succeeded. At this rate "
            + "\(failures) of all \(Figures.count(batch.total, "task")) fail. No other task starts until it is resumed."
    }
}
