import SheafBatches
import SheafCore
import SheafSettings

/// The workers and what they run.
struct WorkerListView {
    struct Task {
        let number: String
        let href: String
        let title: String
    }

    struct Batch {
        let id: String
        let href: String
        let flow: String
        let text: String
        let tasks: [Task]
        let more: String?
    }

    struct Row {
        let name: String
        let host: String?
        let since: Moment
        let load: String
        let width: String
        let busyCount: Int
        let slotCount: Int
        let batches: [Batch]
        let hasBatches: Bool
        let flows: [String]
        let moreFlows: String?
    }

    let base: String
    let rows: [Row]
    let isEmpty: Bool
    let summary: String
    let remark: String?
    let commands = ["sheaf run", "sheaf run --until-empty"]

    private static let maximumRows = 100
    private static let maximumBatches = 10
    private static let maximumTasks = 12

    init(_ workers: [LiveWorker], flowOf: (Name) -> Name?, base: String) {
        self.base = base
        let shown = workers.sorted { ($1.busy, $0.name) < ($0.busy, $1.name) }.prefix(Self.maximumRows)
        rows = shown.map { Self.row($0, flowOf: flowOf, base: base) }
        isEmpty = workers.isEmpty
        let busy = workers.reduce(0) { $0 + $1.busy }
        let slots = workers.reduce(0) { $0 + ($1.slots ?? 0) }
        summary =
            Figures.count(workers.count, "worker")
            + (slots > 0 ? " · \(Figures.number(busy)) of \(Figures.count(slots, "slot")) busy" : "")
        remark = workers.count > shown.count ? "The busiest \(Figures.number(shown.count)) are shown." : nil
    }

    private static func row(_ worker: LiveWorker, flowOf: (Name) -> Name?, base: String) -> Row {
        let slots = worker.slots ?? max(1, worker.busy)
        let names = worker.batches
        return Row(
            name: worker.name,
            host: worker.host,
            since: Moment(worker.since),
            load: "\(Figures.number(worker.busy)) of \(Figures.count(slots, "slot")) busy",
            width: String(min(1000, Int(Double(worker.busy) / Double(max(1, slots)) * 1000))),
            busyCount: min(worker.busy, slots),
            slotCount: slots,
            batches: names.prefix(maximumBatches).map { batch(of: worker, $0, of: flowOf($0), base) },
            hasBatches: !names.isEmpty,
            flows: worker.flows.prefix(12).map(\.text),
            moreFlows: worker.flows.count > 12 ? "and \(Figures.count(worker.flows.count - 12, "more flow"))" : nil
        )
    }

    private static func batch(of worker: LiveWorker, _ id: Name, of flow: Name?, _ base: String) -> Batch {
        let href = "\(base)/batches/\(id)"
        let tasks = (worker.running[id] ?? [:]).sorted { ($0.value, $0.key) < ($1.value, $1.key) }
        let (shown, count) = (tasks.prefix(maximumTasks), worker.runningCount(of: id))
        var parts = [count == 0 ? "" : "\(Figures.number(count)) running"]
        if let waiting = worker.waiting[id], waiting > 0 { parts.append("\(Figures.number(waiting)) next") }
        if let limited = worker.limited[id] { parts.append("waits for \(limited.key)") }
        return Batch(
            id: id.text,
            href: href,
            flow: flow?.text ?? "unknown flow",
            text: parts.filter { !$0.isEmpty }.joined(separator: ", "),
            tasks: shown.map { index, since in
                Task(
                    number: Figures.number(index),
                    href: "\(href)/tasks/\(index)",
                    title: "runs since \(Moment(since).exact)"
                )
            },
            more: count > shown.count ? "and \(Figures.number(count - shown.count)) more" : nil
        )
    }
}

/// The flows that the server, workers or open batches know.
struct FlowListView {
    struct Row {
        let name: String
        let href: String
        let kind: String
        let workers: String
        let lacksWorker: Bool
        let open: String
        let waiting: String
        let running: String
    }

    let base: String
    let rows: [Row]
    let isEmpty: Bool
    let summary: String

    private static let maximumRows = 500

    init(_ flows: [FlowSettings], workers: [LiveWorker], batches: [BatchSummary], base: String) {
        self.base = base
        let open = Dictionary(grouping: batches.filter { $0.info.ending == nil }, by: \.info.flow)
        let kinds = Dictionary(flows.map { ($0.name, $0.kind) }) { $1 }
        let names = Set(kinds.keys).union(workers.flatMap(\.flows)).union(open.keys).sorted()
        rows = names.prefix(Self.maximumRows).map { name in
            let own = open[name] ?? []
            let count = workers.count { $0.flows.contains(name) }
            let waiting = own.reduce(0) { $0 + $1.counts.pending }
            return Row(
                name: name.text,
                href: "\(base)/?flow=\(Address.escape(name.text))",
                kind: kinds[name] ?? "not in this server's configuration",
                workers: Figures.number(count),
                lacksWorker: count == 0 && waiting > 0,
                open: Figures.number(own.count),
                waiting: Figures.number(waiting),
                running: Figures.number(own.reduce(0) { $0 + $1.counts.running })
            )
        }
        isEmpty = rows.isEmpty
        summary = Figures.count(names.count, "flow")
    }
}
