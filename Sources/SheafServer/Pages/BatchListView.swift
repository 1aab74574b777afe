import SheafBatches
import SheafCore

/// The list of batches, newest first, with filters in its address.
struct BatchListView {
    /// What is asked for.
    struct Query {
        var status: BatchStatus?
        var flow = ""
        var tag = ""
        var text = ""
        /// The id of the batch after which the page begins.
        var after = ""

        /// The address with these filters and another status.
        func href(_ base: String, status: BatchStatus?, after: String = "") -> String {
            let pairs = [
                ("status", status?.rawValue ?? ""), ("flow", flow), ("tag", tag), ("q", text), ("after", after),
            ]
            let query = pairs.filter { !$0.1.isEmpty }.map { "\($0.0)=\(Address.escape($0.1))" }
            return "\(base)/" + (query.isEmpty ? "" : "?" + query.joined(separator: "&"))
        }
    }

    /// A row, which costs the same whatever the size of the batch.
    struct Row {
        let id: String
        let href: String
        let flow: String
        let tags: [String]
        let status: StatusLook
        let meter: Meter
        let failed: String
        let hasFailed: Bool
        let rate: String?
        let remark: String
        let created: Moment
    }

    struct Tab {
        let name: String
        let href: String
        let isCurrent: Bool
        let count: String?
    }

    let base: String
    let query: Query
    let rows: [Row]
    let tabs: [Tab]
    let summary: String
    /// Whether there is no batch at all, as opposed to none that matches.
    let isEmpty: Bool
    let hasNoMatch: Bool
    let next: String?
    let first: String?
    let hasFilter: Bool
    let status: String?
    let flow: String?
    let tag: String?
    let commands = ["sheaf create FLOW FILE", "sheaf run"]
    let hasRows: Bool

    static let pageSize = 50

    init(base: String, query: Query, batches: [BatchSummary], history: RateHistory) {
        self.base = base
        self.query = query
        let matching = batches.reversed().filter { query.matches($0) }
        var counts: [BatchStatus: Int] = [:]
        for batch in matching { counts[batch.status, default: 0] += 1 }
        let wanted = query.status.map { status in matching.filter { $0.status == status } } ?? matching
        var page = wanted[...]
        if !query.after.isEmpty, let place = page.firstIndex(where: { $0.info.id.text == query.after }) {
            page = page[(place + 1)...]
        }
        let shown = page.prefix(Self.pageSize)
        rows = shown.map { Self.row($0, base: base, rate: history.rate(of: $0.info.id)) }
        tabs =
            [
                Tab(
                    name: "All",
                    href: query.href(base, status: nil),
                    isCurrent: query.status == nil,
                    count: Figures.number(matching.count)
                )
            ]
            + Self.order.map { status in
                Tab(
                    name: status.rawValue,
                    href: query.href(base, status: status),
                    isCurrent: query.status == status,
                    count: counts[status].map(Figures.number)
                )
            }
        next =
            page.count > shown.count
            ? shown.last.map { query.href(base, status: query.status, after: $0.info.id.text) } : nil
        first = query.after.isEmpty ? nil : query.href(base, status: query.status)
        isEmpty = batches.isEmpty
        hasRows = !shown.isEmpty
        hasNoMatch = !batches.isEmpty && shown.isEmpty
        hasFilter = query.status != nil || !(query.flow + query.tag + query.text).isEmpty
        status = query.status?.rawValue
        flow = query.flow.isEmpty ? nil : query.flow
        tag = query.tag.isEmpty ? nil : query.tag
        summary = Self.summary(of: wanted, shown: shown.count)
    }

    private static let order: [BatchStatus] = [.processing, .pending, .paused, .failed, .completed, .cancelled]

    private static func summary(of batches: [BatchSummary], shown: Int) -> String {
        let active = batches.filter { !$0.status.isFinal }
        let open = active.reduce(0) { $0 + $1.counts.pending + $1.counts.running }
        let running = active.reduce(0) { $0 + $1.counts.running }
        var parts = [Figures.count(batches.count, "batch")]
        if shown < batches.count { parts[0] += ", \(Figures.number(shown)) on this page" }
        if running > 0 { parts.append("\(Figures.count(running, "task")) running") }
        if open > running { parts.append("\(Figures.number(open - running)) waiting") }
        return parts.joined(separator: " · ")
    }

    private static func row(_ batch: BatchSummary, base: String, rate: Double?) -> Row {
        let look = BatchLook(batch: batch, rate: rate)
        let isRunning = batch.status == .processing
        return Row(
            id: batch.info.id.text,
            href: "\(base)/batches/\(batch.info.id)",
            flow: batch.info.flow.text,
            tags: batch.shownTags,
            status: StatusLook(of: batch),
            meter: Meter(batch),
            failed: Figures.number(batch.counts.failed),
            hasFailed: batch.counts.failed > 0,
            rate: isRunning ? rate.map(Figures.rate) : nil,
            remark: Figures.cut(look.remark, to: 120),
            created: Moment(batch.info.createdAt)
        )
    }
}

extension BatchListView.Query {
    fileprivate func matches(_ batch: BatchSummary) -> Bool {
        guard flow.isEmpty || batch.info.flow.text == flow,
            tag.isEmpty || TagFilter(tag)?.matches(batch.info.options) == true
        else {
            return false
        }
        if text.isEmpty { return true }
        let words = [batch.info.id.text, batch.info.flow.text, batch.info.source] + batch.shownTags
        return words.contains { $0.lowercased().contains(text.lowercased()) }
    }
}

extension BatchSummary {
    /// The tags of the batch as text.
    var shownTags: [String] {
        info.options.tags.sorted { $0.key < $1.key }.map { $1.isEmpty ? $0 : "\($0)=\($1)" }
    }
}

/// Parts of addresses.
enum Address {
    /// Escapes text for the query of an address.
    static func escape(_ text: String) -> String {
        var bytes: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                bytes.append(byte)
            default:
                let digits = Array("0123456789ABCDEF".utf8)
                bytes += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
