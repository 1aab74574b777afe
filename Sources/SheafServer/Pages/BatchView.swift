import OrderedCollections
import SheafBatches
import SheafCore

/// What every page of a batch begins with: its name, its status and what can be done with it.
struct BatchHead {
    struct Tab {
        let name: String
        let href: String
        let isCurrent: Bool
    }

    /// Something that a person may do with the batch, which asks for a confirmation.
    struct Action {
        let name: String
        /// The address to post to.
        let href: String
        var method = "POST"
        /// The JSON to post, or nil for none.
        let body: String?
        let question: String
        let text: String
        let isDangerous: Bool
    }

    let id: String
    let flow: String
    let href: String
    let tags: [String]
    let status: StatusLook
    let tabs: [Tab]
    let actions: [Action]
    let download: String?

    enum Section: String {
        case overview = ""
        case tasks
        case journal
    }

    init(_ batch: BatchSummary, base: String, section: Section, mayWrite: Bool) {
        id = batch.info.id.text
        flow = batch.info.flow.text
        let href = "\(base)/batches/\(id)"
        self.href = href
        tags = batch.shownTags
        status = StatusLook(of: batch)
        tabs = [("Overview", Section.overview), ("Tasks", .tasks), ("Journal", .journal)].map { name, part in
            Tab(name: name, href: part == .overview ? href : "\(href)/\(part.rawValue)", isCurrent: part == section)
        }
        download = batch.counts.settled > 0 ? "\(base)/api/batches/\(id)/results?format=jsonl&download=1" : nil
        actions = mayWrite ? Self.actions(batch, api: "\(base)/api/batches/\(id)") : []
    }

    private static func actions(_ batch: BatchSummary, api: String) -> [Action] {
        let info = batch.info
        let (counts, name) = (batch.counts, "\(info.flow) \(info.id)")
        var actions: [Action] = []
        let isOpen = info.ending == nil && info.cancelled == nil
        if isOpen, !info.isPaused, info.stopped == nil {
            actions.append(
                Action(
                    name: "Pause",
                    href: "\(api)/pause",
                    body: nil,
                    question: "Pause \(name)?",
                    text: "\(Figures.count(counts.pending, "task")) will not start until you resume it. "
                        + "\(Figures.number(counts.running)) that run now finish.",
                    isDangerous: false
                )
            )
        }
        if isOpen, info.isPaused || info.stopped != nil && info.stopAdvice == nil {
            actions.append(
                Action(
                    name: "Resume",
                    href: "\(api)/resume",
                    body: nil,
                    question: "Resume \(name)?",
                    text: "\(Figures.count(counts.pending, "task")) may start again.",
                    isDangerous: false
                )
            )
        }
        if counts.failed > 0, info.cancelled == nil, batch.isSealed {
            actions.append(
                Action(
                    name: "Retry failed (\(Figures.number(counts.failed)))",
                    href: "\(api)/retry",
                    body: #"{"filter":{"status":"failed"}}"#,
                    question: "Retry \(Figures.count(counts.failed, "failed task")) of \(name)?",
                    text: "They run again under the same numbers. "
                        + "Records that could not be read are left out.",
                    isDangerous: false
                )
            )
        }
        if isOpen {
            actions.append(
                Action(
                    name: "Cancel",
                    href: "\(api)/cancel",
                    body: nil,
                    question: "Cancel \(name)?",
                    text: "\(Figures.count(counts.pending, "waiting task")) will be dropped; this cannot be undone. "
                        + "\(Figures.number(counts.running)) that run now finish.",
                    isDangerous: true
                )
            )
        }
        return actions
    }
}

/// The overview of one batch.
struct BatchView {
    struct Fact {
        let name: String
        let value: String
        let remark: String?
        let hue: String
    }

    struct Option {
        let name: String
        let value: String
        var moment: Moment?
        var isCode = false
    }

    /// Failures with the same error.
    struct Group {
        let key: String
        let type: String
        let message: String
        let count: String
        let firstID: String
        let firstHref: String
        let tasksHref: String
        let retry: BatchHead.Action?
    }

    /// A task that ended lately.
    struct Sample {
        let key: String
        let id: String
        let href: String
        let status: StatusLook
        let text: String
        let took: String
    }

    let base: String
    let head: BatchHead
    let meter: Meter
    let facts: [Fact]
    let notes: [BatchNote]
    let chart: RateChart?
    let hasNoChart: Bool
    let groups: [Group]
    let hasFailures: Bool
    let hasGroups: Bool
    let groupsRemark: String?
    let samples: [Sample]
    let hasNoSamples: Bool
    let options: [Option]
    let commands: [String]
    /// What a screen reader says from time to time.
    let spoken: String

    init(
        _ batch: BatchSummary,
        base: String,
        mayWrite: Bool,
        history: RateHistory,
        groups: [Group]?,
        groupCount: Int,
        samples: [Sample]
    ) {
        self.base = base
        head = BatchHead(batch, base: base, section: .overview, mayWrite: mayWrite)
        meter = Meter(batch)
        let rate = history.rate(of: batch.info.id)
        let look = BatchLook(batch: batch, rate: rate)
        facts = Self.facts(look)
        notes = BatchNote.all(of: batch, base: base)
        chart = RateChart(of: batch.info.id, history)
        hasNoChart = chart == nil
        self.groups = groups ?? []
        hasFailures = batch.counts.failed > 0
        hasGroups = groups?.isEmpty == false
        groupsRemark =
            groups.map {
                $0.count < groupCount
                    ? "The \(Figures.number($0.count)) most frequent of \(Figures.number(groupCount)) are shown." : nil
            }
            ?? "The failures of this batch are being read. They appear here in a few seconds."
        self.samples = samples
        hasNoSamples = samples.isEmpty
        options = Self.options(batch)
        let id = batch.info.id.text
        var commands = batch.status.isFinal ? ["sheaf status \(id)"] : ["sheaf watch \(id)"]
        if batch.counts.failed > 0 {
            commands += ["sheaf results \(id) --status failed"]
            if batch.info.cancelled == nil { commands += ["sheaf retry \(id)"] }
        }
        if batch.counts.succeeded > 0 { commands.append("sheaf results \(id) --format csv > results.csv") }
        self.commands = commands
        spoken = "\(batch.info.flow): \(batch.status.rawValue), \(meter.label)"
    }

    private static func facts(_ look: BatchLook) -> [Fact] {
        let batch = look.batch
        let counts = batch.counts
        var facts = [
            Fact(
                name: "Succeeded",
                value: Figures.number(counts.succeeded),
                remark: counts.settled > 0 ? Figures.share(counts.succeeded, of: counts.settled) : nil,
                hue: counts.succeeded > 0 ? "ok" : ""
            ),
            Fact(
                name: "Failed",
                value: Figures.number(counts.failed),
                remark: counts.failed > 0 ? Figures.share(counts.failed, of: counts.settled) : nil,
                hue: counts.failed > 0 ? "bad" : ""
            ),
            Fact(
                name: "Running",
                value: Figures.number(counts.running),
                remark: nil,
                hue: counts.running > 0 ? "run" : ""
            ),
        ]
        if counts.cancelled > 0 {
            facts.append(Fact(name: "Cancelled", value: Figures.number(counts.cancelled), remark: nil, hue: ""))
        } else {
            facts.append(
                Fact(
                    name: "Waiting",
                    value: Figures.number(counts.pending),
                    remark: batch.isSealed ? nil : "so far",
                    hue: ""
                )
            )
        }
        if let left = look.timeLeft {
            let rate = look.rate.map { "at \(Figures.rate($0))" }
            facts.append(Fact(name: "Left", value: left, remark: rate, hue: ""))
        } else if let start = batch.startedAt, let end = batch.finishedAt, end > start {
            let seconds = (end - start) / .seconds(1)
            let rate = seconds > 0 ? "at \(Figures.rate(Double(counts.settled) / seconds))" : nil
            facts.append(Fact(name: "Took", value: Figures.duration(end - start), remark: rate, hue: ""))
        } else if let rate = look.rate, batch.status == .processing {
            facts.append(Fact(name: "Rate", value: Figures.rate(rate), remark: nil, hue: ""))
        } else {
            facts.append(Fact(name: "Left", value: "–", remark: nil, hue: "quiet"))
        }
        return facts
    }

    private static func options(_ batch: BatchSummary) -> [Option] {
        let info = batch.info
        var options: [Option] = []
        if !info.source.isEmpty { options.append(Option(name: "Source", value: info.source, isCode: true)) }
        options.append(Option(name: "Created", value: "", moment: Moment(info.createdAt)))
        if let started = batch.startedAt {
            options.append(Option(name: "Started", value: "", moment: Moment(started)))
        }
        if let finished = batch.finishedAt {
            let name = info.ending != nil ? "Finished" : batch.status == .cancelled ? "Cancelled" : "Stopped"
            options.append(Option(name: name, value: "", moment: Moment(finished)))
        }
        options.append(Option(name: "Error policy", value: info.options.errorPolicy.description))
        options.append(
            Option(name: "At once", value: info.maxRunning.map { "at most \(Figures.number($0))" } ?? "no limit")
        )
        options.append(
            Option(name: "Order", value: info.options.seed.map { "shuffled, seed \($0)" } ?? "as in the input")
        )
        if let pilot = info.options.pilot {
            let pass = pilot.passText.map { ", goes on at \($0)" } ?? ""
            options.append(Option(name: "Pilot", value: Figures.count(pilot.tasks, "task") + pass))
        }
        switch info.options.deduplication {
        case .records: options.append(Option(name: "Identical records", value: "run once"))
        case .fields(let names):
            let text = Figures.cut(names.joined(separator: ", "), to: 200)
            options.append(Option(name: "Identical records", value: "run once, compared by \(text)"))
        case nil: break
        }
        if info.twins > 0 {
            options.append(Option(name: "Same as an earlier record", value: Figures.count(info.twins, "task")))
        }
        if info.options.isInteractive { options.append(Option(name: "Questions", value: "tasks may ask")) }
        if let most = info.options.maxRecords {
            options.append(Option(name: "Records", value: "at most \(Figures.number(most))"))
        }
        if info.generation > 0 {
            options.append(Option(name: "Retries", value: Figures.count(info.generation, "time")))
        }
        if let given = info.options.parameters.objectValue, !given.isEmpty {
            let text = Figures.cut(info.options.parameters.text, to: 2000)
            options.append(Option(name: "Parameters", value: text, isCode: true))
        }
        for (name, amount) in batch.usage.sorted.prefix(16) {
            options.append(Option(name: Figures.cut(name, to: 64), value: Figures.number(amount)))
        }
        return options
    }
}
