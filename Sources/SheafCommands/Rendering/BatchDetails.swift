import OrderedCollections
import Sheaf
import SheafCore
import SheafFormats
import SheafSettings

/// What the pilot of a batch has cost, and what the whole batch costs at the same rate.
struct PilotCosts {
    let pilot: Cost
    let projection: Cost

    /// Returns nil if the batch has no pilot, or its flow asks no model.
    init?(of batch: BatchSummary, _ pricing: FlowPricing?) {
        guard let pricing, let pilot = batch.pilot else { return nil }
        self.pilot = pricing.cost(of: pilot.usage)
        projection = pricing.cost(of: pilot.projectedUsage(of: batch.total - batch.info.twins))
    }

    /// Returns the JSON of the batch with the costs in its pilot.
    func added(to batch: JSONValue) -> JSONValue {
        var shown = (batch["pilot"] ?? [:]).adding(["cost": pilot.json])
        if let projected = shown["projection"], projected != .null {
            shown = shown.adding(["projection": projected.adding(["cost": projection.json])])
        }
        return batch.adding(["pilot": shown])
    }
}

/// Formats one batch in full.
enum BatchDetails {
    /// Returns the lines, each with a label and a value.
    ///
    /// - Parameters:
    ///   - batch: The batch.
    ///   - submissions: Its submissions to a provider.
    ///   - cost: What the tasks have cost, or why that is unknown; nil leaves the line out.
    ///   - pilotCosts: What the pilot has cost, and what the batch costs at the same rate.
    ///   - style: Whether colours are on.
    ///   - now: The time.
    static func lines(
        _ batch: BatchSummary,
        submissions: [Submission] = [],
        cost: String? = nil,
        pilotCosts: PilotCosts? = nil,
        style: Style,
        now: Timestamp
    ) -> [String] {
        var entries: [(label: String, text: String)] = [
            ("batch", batch.info.id.text),
            ("flow", batch.info.flow.text),
            ("status", style.paint(batch.status) + reason(batch)),
            ("tasks", "\(batch.total)\(batch.isSealed ? "" : " so far"): \(Wording.counts(batch.counts))"),
            ("created", time(batch.info.createdAt, now: now)),
        ]
        if let twins = Wording.twins(batch.info.twins, of: batch.info.sealedTotal ?? batch.total) {
            entries.insert(("twins", twins), at: 4)
        }
        if let limited = batch.limited { entries.append(("waiting", Wording.limit(limited, now: now))) }
        if batch.questions > 0 {
            let wait = Wording.count(batch.questions, "open question")
            entries.append(("asking", "\(wait); 'sheaf questions \(batch.info.id)' lists them"))
        }
        if let text = Wording.submissions(submissions) {
            entries.append(("bulk", "\(text); 'sheaf submissions \(batch.info.id)' lists them"))
        }
        if let started = batch.startedAt { entries.append(("started", time(started, now: now))) }
        if let finished = batch.finishedAt {
            var text = time(finished, now: now)
            // A stopped batch with tasks left can continue, and tasks of a cancelled one may still run.
            let label = batch.info.ending != nil ? "finished" : batch.status == .cancelled ? "cancelled" : "stopped"
            if let started = batch.startedAt, batch.info.ending != nil {
                text += ", took \(Wording.duration(finished - started))"
            }
            entries.append((label, text))
        }
        if !batch.usage.isEmpty {
            let amounts = batch.usage.sorted.map { "\($0.amount) \($0.name)" }
            entries.append(("usage", amounts.joined(separator: ", ")))
        }
        if let cost { entries.append(("cost", cost)) }
        if let pilot = Wording.pilot(batch, cost: pilotCosts?.pilot) { entries.append(("pilot", pilot)) }
        if let projection = Wording.projection(batch, cost: pilotCosts?.projection) {
            entries.append(("projection", projection))
        }
        if !batch.info.source.isEmpty { entries.append(("source", batch.info.source)) }
        if !batch.info.options.tags.isEmpty { entries.append(("tags", Wording.tags(batch.info.options.tags))) }
        entries.append(("options", options(batch.info)))
        for position in entries.indices where entries[position].label != "status" {
            entries[position].text = SafeText.line(entries[position].text)
        }
        return aligned(entries)
    }

    /// Returns a line for each label with its text, the texts below each other.
    static func aligned(_ entries: [(label: String, text: String)]) -> [String] {
        let width = entries.map(\.label.count).max() ?? 0
        return entries.map { entry in
            entry.label + String(repeating: " ", count: width - entry.label.count + 2) + entry.text
        }
    }

    private static func time(_ time: Timestamp, now: Timestamp) -> String {
        "\(time) (\(Wording.ago(time, now: now)))"
    }

    private static func reason(_ batch: BatchSummary) -> String {
        if let stop = Wording.stop(of: batch) { return SafeText.line(" (\(stop))") }
        if batch.missing > 0 {
            let tasks = Wording.count(batch.missing, "task")
            return " (the broker has lost \(tasks); \(Wording.commandLine(for: .retryMissing(batch.info.id))))"
        }
        if batch.isTrimmed { return " (the broker removed outcomes from its results log before they were counted)" }
        if batch.info.awaitsResume {
            return " (the pilot is over; \(Wording.commandLine(for: .resumeBatch(batch.info.id))))"
        }
        guard batch.lacksCreator else { return "" }
        // The journal records progress only every 10,000 tasks, so a short creation has recorded none.
        let progress = batch.total > 0 ? " after at least \(Wording.count(batch.total, "task"))" : ""
        let advice = Wording.commandLine(for: .resumeCreation(batch.info.id))
        return " (interrupted: its creator is gone\(progress); \(advice))"
    }

    private static func options(_ batch: BatchInfo) -> String {
        let options = batch.options
        var parts = ["error policy \(options.errorPolicy)"]
        if let maxRunning = batch.maxRunning { parts.append("at most \(maxRunning) at once") }
        parts.append(options.seed.map { "shuffled with seed \($0)" } ?? "in the order of the input")
        if let pilot = options.pilot {
            parts.append("pilot \(pilot.tasks)" + (pilot.passText.map { ", goes on at \($0)" } ?? ""))
        }
        if options.isInteractive { parts.append("interactive") }
        switch options.deduplication {
        case .records: parts.append("identical records once")
        case .fields(let names): parts.append("records with the same \(names.joined(separator: ", ")) once")
        case nil: break
        }
        if let most = options.maxRecords { parts.append("at most \(Wording.count(most, "record"))") }
        if let given = options.parameters.objectValue, !given.isEmpty {
            parts.append("parameters \(options.parameters.text)")
        }
        return parts.joined(separator: ", ")
    }
}

/// Formats batches as a table, one per line.
enum BatchTable {
    /// Returns the lines.
    static func lines(_ batches: [BatchSummary], style: Style, now: Timestamp) -> [String] {
        let showsTags = batches.contains { !$0.info.options.tags.isEmpty }
        var columns: [TextTable.Column] = [
            .init(heading: "BATCH"), .init(heading: "FLOW"), .init(heading: "STATUS"),
            .init(heading: "DONE", isNumeric: true), .init(heading: "TOTAL", isNumeric: true),
            .init(heading: "FAILED", isNumeric: true), .init(heading: "CREATED"),
        ]
        if showsTags { columns.append(.init(heading: "TAGS")) }
        var table = TextTable(columns: columns)
        for batch in batches {
            let status = batch.status
            let hasFailures = batch.counts.failed > 0
            var cells: [TextTable.Cell] = [
                .init(batch.info.id.text),
                .init(batch.info.flow.text),
                .init(status.rawValue + remark(on: batch)) { style.paint(status, $0) },
                .init(String(batch.counts.settled)),
                .init(batch.isSealed ? String(batch.total) : "\(batch.total)+"),
                .init(String(batch.counts.failed)) { hasFailures ? style.paint($0, .red) : $0 },
                .init(Wording.ago(batch.info.createdAt, now: now)),
            ]
            if showsTags {
                cells.append(.init(TerminalText.line(Wording.tags(batch.info.options.tags), limit: 80)))
            }
            table.add(cells)
        }
        return table.lines
    }

    private static func remark(on batch: BatchSummary) -> String {
        if batch.lacksCreator { return " (interrupted)" }
        return batch.info.awaitsResume ? " (pilot over)" : batch.info.isPiloting ? " (pilot)" : ""
    }
}
