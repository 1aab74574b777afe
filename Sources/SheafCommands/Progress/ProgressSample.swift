import SheafCore

/// How far something is at one moment.
struct ProgressSample: Sendable, Equatable {
    /// What is under way, such as a batch's id.
    var title: String
    /// How many are done.
    var done: Int
    /// How many there are; nil while nobody knows.
    var total: Int?
    /// How many of those done failed.
    var failed = 0
    /// How many are being worked on.
    var running = 0
    /// How many questions of tasks wait for an answer.
    var questions = 0
    /// What is waited for besides, in a few words, such as `waits for limit 'openai'`; nil where it is nothing.
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

    /// How far a batch is; what was dropped by a cancel is done with, too.
    init(of summary: BatchSummary) {
        self.init(
            title: summary.record.id.text,
            done: summary.counts.settled + summary.counts.cancelled,
            total: summary.isSealed ? summary.total : nil,
            failed: summary.counts.failed,
            running: summary.counts.running,
            questions: summary.questions,
            waiting: summary.limited.map { "waits for \($0.key)" }
        )
    }
}
