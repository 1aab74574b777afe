import OrderedCollections
import SheafCore

/// One batch in full, for people.
enum BatchDetails {
    /// The lines, each a label and what it stands for.
    static func lines(_ batch: BatchSummary, style: Style, now: Timestamp) -> [String] {
        var entries: [(label: String, text: String)] = [
            ("batch", batch.record.id.text),
            ("flow", batch.record.flow.text),
            ("status", style.paint(batch.status) + reason(batch)),
            ("tasks", "\(batch.total)\(batch.isSealed ? "" : " so far"): \(Wording.counts(batch.counts))"),
            ("created", moment(batch.record.createdAt, now: now)),
        ]
        if let limited = batch.limited { entries.append(("waiting", Wording.limit(limited, now: now))) }
        if batch.questions > 0 {
            let wait = "\(Wording.count(batch.questions, "question")) for an answer"
            entries.append(("asking", "\(wait); 'sheaf questions \(batch.record.id)' shows them"))
        }
        if let started = batch.startedAt { entries.append(("started", moment(started, now: now))) }
        if let finished = batch.finishedAt {
            var text = moment(finished, now: now)
            if let started = batch.startedAt { text += ", took \(Wording.duration(finished - started))" }
            entries.append(("finished", text))
        }
        if !batch.usage.isEmpty {
            let amounts = batch.usage.sorted.map { "\($0.amount) \($0.name)" }
            entries.append(("usage", amounts.joined(separator: ", ")))
        }
        if !batch.record.source.isEmpty { entries.append(("source", batch.record.source)) }
        entries.append(("options", options(batch.record)))
        for position in entries.indices where entries[position].label != "status" {
            entries[position].text = SafeText.line(entries[position].text)
        }
        let width = entries.map(\.label.count).max() ?? 0
        return entries.map { entry in
            entry.label + String(repeating: " ", count: width - entry.label.count + 2) + entry.text
        }
    }

    private static func moment(_ moment: Timestamp, now: Timestamp) -> String {
        "\(moment) (\(Wording.ago(moment, now: now)))"
    }

    private static func reason(_ batch: BatchSummary) -> String {
        if batch.status == .failed, let stopped = batch.record.stopped { return SafeText.line(" (\(stopped.reason))") }
        if batch.missing > 0 {
            let tasks = Wording.count(batch.missing, "task")
            return " (the broker has lost \(tasks); 'sheaf retry \(batch.record.id) --missing' publishes them again)"
        }
        if batch.isTrimmed { return " (outcomes were removed from its results log before they were counted)" }
        guard batch.lacksCreator else { return "" }
        // The journal is told of progress only now and then, so nothing is known of a short one.
        let progress = batch.total > 0 ? " after at least \(Wording.count(batch.total, "task"))" : ""
        return " (interrupted: its creator is gone\(progress); go on with 'sheaf create --resume \(batch.record.id)')"
    }

    private static func options(_ batch: BatchInfo) -> String {
        let options = batch.options
        var parts = ["error policy \(options.errorPolicy)"]
        if let maxRunning = batch.maxRunning { parts.append("at most \(maxRunning) at once") }
        parts.append(options.seed.map { "shuffled with seed \($0)" } ?? "in the order of the input")
        if options.isInteractive { parts.append("interactive") }
        if let most = options.maxRecords { parts.append("at most \(Wording.count(most, "record"))") }
        if let given = options.parameters.objectValue, !given.isEmpty {
            parts.append("parameters \(options.parameters.text)")
        }
        return parts.joined(separator: ", ")
    }
}
