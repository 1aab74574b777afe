import SheafCore

/// Renders progress as one line: a bar for a terminal, words for a log.
struct ProgressRenderer: Sendable, Equatable {
    /// The colours for the terminal.
    var style: Style

    private static let barRange = 10...40

    /// Returns the line for a terminal, at least one column narrower than the terminal so that it does not wrap.
    func bar(_ sample: ProgressSample, meter: RateMeter, width: Int) -> String {
        let words = facts(sample, meter: meter)
        let plain = ([sample.title] + words.map(\.text)).joined(separator: "  ")
        let limit = max(0, width - 1)
        let room = limit - plain.count - 2
        guard let total = sample.total, room >= Self.barRange.lowerBound else { return String(plain.prefix(limit)) }
        let length = min(room, Self.barRange.upperBound)
        let share = total > 0 ? min(1, Double(sample.done) / Double(total)) : 1
        let filled = Int(share * Double(length))
        let bar =
            style.paint(String(repeating: "━", count: filled), .green)
            + style.paint(String(repeating: "─", count: length - filled), .grey)
        let painted = words.map { $0.isAlarming ? style.paint($0.text, .red) : $0.text }
        return ([sample.title, bar] + painted).joined(separator: "  ")
    }

    /// Returns the line for a log.
    func line(_ sample: ProgressSample, meter: RateMeter) -> String {
        "\(sample.title): " + facts(sample, meter: meter).map(\.text).joined(separator: ", ")
    }

    private struct Fact {
        var text: String
        var isAlarming = false
    }

    private func facts(_ sample: ProgressSample, meter: RateMeter) -> [Fact] {
        var facts: [Fact] = []
        if let total = sample.total {
            facts.append(Fact(text: "\(sample.done)/\(total)"))
            facts.append(Fact(text: Wording.percent(sample.done, of: total)))
        } else {
            facts.append(Fact(text: "\(sample.done)"))
        }
        if sample.running > 0 { facts.append(Fact(text: "\(sample.running) running")) }
        if sample.questions > 0 { facts.append(Fact(text: Wording.count(sample.questions, "open question"))) }
        if let waiting = sample.waiting { facts.append(Fact(text: waiting)) }
        if sample.failed > 0 { facts.append(Fact(text: "\(sample.failed) failed", isAlarming: true)) }
        if let rate = meter.perSecond { facts.append(Fact(text: Wording.rate(rate))) }
        if let remaining = meter.remaining(of: sample), sample.done < sample.total ?? 0 {
            facts.append(Fact(text: "\(Wording.duration(remaining)) left"))
        }
        return facts
    }
}

/// The progress of some work at one time.
struct ProgressSample: Sendable, Equatable {
    /// The name of the work, such as a batch's id.
    var title: String
    /// How many are done.
    var done: Int
    /// How many there are; nil if that is unknown.
    var total: Int?
    /// How many of the done ones failed.
    var failed = 0
    /// How many are running.
    var running = 0
    /// How many questions are open.
    var questions = 0
    /// What else the work waits for, such as `waits for limit 'openai'`; nil if nothing.
    var waiting: String?

    init(
        title: String,
        done: Int,
        total: Int? = nil,
        failed: Int = 0,
        running: Int = 0,
        questions: Int = 0,
        waiting: String? = nil
    ) {
        self.title = title
        self.done = done
        self.total = total
        self.failed = failed
        self.running = running
        self.questions = questions
        self.waiting = waiting
    }

    /// Creates a sample of a batch, or of its pilot while that runs; cancelled tasks count as done.
    init(of summary: BatchSummary) {
        if summary.info.isPiloting, let pilot = summary.pilot {
            self.init(
                title: "\(summary.info.id), pilot",
                done: pilot.succeeded + pilot.failed,
                total: pilot.tasks,
                failed: pilot.failed,
                running: summary.counts.running,
                questions: summary.questions,
                waiting: summary.limited.map { "waits for \($0.key)" }
            )
            return
        }
        self.init(
            title: summary.info.id.text,
            done: summary.counts.settled + summary.counts.cancelled,
            total: summary.isSealed ? summary.total : nil,
            failed: summary.counts.failed,
            running: summary.counts.running,
            questions: summary.questions,
            waiting: summary.limited.map { "waits for \($0.key)" }
        )
    }
}

/// Estimates the rate from the progress of the last seconds.
struct RateMeter: Sendable {
    private var points: [(at: Duration, done: Int)] = []
    private let window: Duration

    init(window: Duration = .seconds(10)) { self.window = window }

    /// Records how many are done, and the time since any start.
    mutating func note(_ done: Int, at elapsed: Duration) {
        if let last = points.last, elapsed - last.at < .milliseconds(100), points.count > 1 { points.removeLast() }
        points.append((elapsed, done))
        while points.count > 2, points[1].at <= elapsed - window { points.removeFirst() }
    }

    /// The rate per second, or nil if it is still unknown.
    var perSecond: Double? {
        guard let first = points.first, let last = points.last else { return nil }
        let seconds = (last.at - first.at) / .seconds(1)
        return seconds >= 0.5 && last.done > first.done ? Double(last.done - first.done) / seconds : nil
    }

    /// Returns how long the rest takes at this rate, or nil if that is still unknown.
    func remaining(of sample: ProgressSample) -> Duration? {
        guard let total = sample.total, total >= sample.done, let perSecond else { return nil }
        return .seconds(Double(total - sample.done) / perSecond)
    }
}
