import OrderedCollections
import SheafBatches
import SheafCore

/// The tasks of a batch, with filters in the address.
struct TaskListView {
    /// What is asked for.
    struct Query {
        var status: TaskRow.Status?
        var errorType = ""
        var group = ""
        var text = ""
        var after = -1

        var tasks: TaskQuery {
            var query = TaskQuery()
            if let status { query.statuses = [status] }
            if !errorType.isEmpty { query.errorType = errorType }
            if !group.isEmpty { query.group = group }
            if !text.isEmpty { query.text = text }
            return query
        }

        func href(_ path: String, status: TaskRow.Status?, after: Int? = nil) -> String {
            let pairs = [
                ("status", status?.rawValue ?? ""), ("error_type", errorType), ("group", group), ("q", text),
                ("after", after.map { String($0) } ?? ""),
            ]
            let query = pairs.filter { !$0.1.isEmpty }.map { "\($0.0)=\(Address.escape($0.1))" }
            return path + (query.isEmpty ? "" : "?" + query.joined(separator: "&"))
        }
    }

    struct Row {
        let key: String
        let number: String
        let id: String
        let href: String
        let status: StatusLook
        let text: String
        let attempts: String
        let took: String
        let ended: Moment?
    }

    let base: String
    let head: BatchHead
    let query: Query
    let path: String
    let chosen: String?
    let group: String?
    let errorType: String?
    let tabs: [BatchListView.Tab]
    let rows: [Row]
    let hasRows: Bool
    let isEmpty: Bool
    let isFiltered: Bool
    let next: String?
    let first: String?
    let remark: String?
    let only: String?
    /// Retries all tasks that match, or nil if that makes no sense.
    let retry: BatchHead.Action?

    static let pageSize = 50

    init(_ batch: BatchSummary, _ page: TaskPage, _ query: Query, group: ErrorGroup?, base: String, mayWrite: Bool) {
        self.base = base
        self.query = query
        head = BatchHead(batch, base: base, section: .tasks, mayWrite: mayWrite)
        let path = "\(head.href)/tasks"
        self.path = path
        chosen = query.status?.rawValue
        self.group = query.group.isEmpty ? nil : query.group
        errorType = query.errorType.isEmpty ? nil : query.errorType
        let counts = batch.counts
        let numbers: [TaskRow.Status: Int] = [
            .pending: counts.pending, .running: counts.running, .succeeded: counts.succeeded, .failed: counts.failed,
            .cancelled: counts.cancelled,
        ]
        tabs =
            [
                BatchListView.Tab(
                    name: "All",
                    href: query.href(path, status: nil),
                    isCurrent: query.status == nil,
                    count: Figures.number(counts.total)
                )
            ]
            + TaskRow.Status.allCases.filter { numbers[$0] != 0 || $0 == query.status }.map { status in
                BatchListView.Tab(
                    name: status == .pending ? "waiting" : status.rawValue,
                    href: query.href(path, status: status),
                    isCurrent: query.status == status,
                    count: Figures.number(numbers[status] ?? 0)
                )
            }
        rows = page.rows.map { Self.row($0, batch: batch.info.id, base: base) }
        hasRows = !rows.isEmpty
        isEmpty = rows.isEmpty
        isFiltered = query.status != nil || !(query.errorType + query.group + query.text).isEmpty
        next = page.next.map { query.href(path, status: query.status, after: $0) }
        first = query.after >= 0 ? query.href(path, status: query.status) : nil
        remark = page.next != nil && rows.count < Self.pageSize ? "More tasks may match further on." : nil
        let error = group?.type ?? (query.errorType.isEmpty ? nil : query.errorType)
        only = error.map { type in group?.pattern.map { "\(type): \($0)" } ?? type }
        let isRetry = mayWrite && (group != nil || !query.errorType.isEmpty) && batch.info.cancelled == nil
        retry =
            isRetry
            ? BatchHead.retry(
                batch,
                type: error,
                group: group?.id,
                count: group?.count,
                api: "\(base)/api/batches/\(head.id)"
            )
            : nil
    }

    private static func row(_ row: TaskRow, batch: Name, base: String) -> Row {
        let outcome = row.outcome
        let isSettled = row.status == .succeeded || row.status == .failed || row.status == .cancelled
        let error = outcome?.error
        return Row(
            key: String(row.index),
            number: Figures.number(row.index),
            id: outcome.map { Figures.cut($0.recordID, to: 120) } ?? "",
            href: "\(base)/batches/\(batch)/tasks/\(row.index)",
            status: StatusLook(word: row.status == .pending ? "waiting" : row.status.rawValue),
            text: row.status == .failed ? error.map { "\($0.type): \(Figures.cut($0.message, to: 160))" } ?? "" : "",
            attempts: isSettled ? outcome.map { $0.attempts > 0 ? String($0.attempts) : "" } ?? "" : "",
            took: isSettled ? outcome.map { Figures.duration($0.finishedAt - $0.startedAt) } ?? "" : "",
            ended: isSettled ? outcome.map { Moment($0.finishedAt) } : nil
        )
    }
}

/// One task with its record, its output and every attempt.
struct TaskView {
    /// An attempt; the last one is open.
    struct Attempt {
        let number: String
        let status: StatusLook
        let errorType: String?
        let message: String?
        let worker: String
        let ended: Moment
        let took: String?
        let generation: String?
        let isLong: Bool
    }

    let base: String
    let head: BatchHead
    let number: String
    let id: String
    let status: StatusLook
    let facts: [BatchView.Option]
    let error: String?
    let blocks: [CodeBlock]
    let noRecord: String?
    let attempts: [Attempt]
    let hasAttempts: Bool
    let retry: BatchHead.Action?
    let previous: String?
    let next: String?
    let commands: [String]

    init(_ batch: BatchSummary, _ task: TaskDetail, base: String, mayWrite: Bool) {
        self.base = base
        head = BatchHead(batch, base: base, section: .tasks, mayWrite: false)
        let index = task.row.index
        let (href, api) = ("\(head.href)/tasks", "\(base)/api/batches/\(head.id)")
        number = Figures.number(index)
        let outcome = task.outcome ?? task.row.outcome
        id = outcome?.recordID ?? ""
        status = StatusLook(word: task.row.status == .pending ? "waiting" : task.row.status.rawValue)
        facts = Self.facts(task, outcome)
        let failure = task.row.status == .failed ? outcome?.error : nil
        error = failure.map { "\($0.type): \(Figures.cut($0.message, to: 400))" }
        var blocks: [CodeBlock] = []
        if let output = task.output {
            blocks.append(CodeBlock(output, name: "Output", download: "\(api)/jobs/\(index)/output"))
        }
        if let record = task.record {
            blocks.append(CodeBlock(record.bytes, name: "Record", download: "\(api)/jobs/\(index)/record"))
        }
        if let parameters = outcome?.parameters, !parameters.isEmpty {
            blocks.append(CodeBlock(Array(parameters.utf8), name: "Parameters", download: nil))
        }
        self.blocks = blocks
        let isInvalid = failure?.type == Outcome.Failure.invalidRecord
        noRecord =
            task.record != nil
            ? nil
            : isInvalid
                ? "The record could not be read, so no attempt was made."
                : task.row.sameAs.map {
                    "The record is identical to that of task \(Figures.number($0)), which runs for both."
                } ?? "The record is kept only if a task fails."
        attempts =
            isInvalid ? [] : task.attempts.reversed().map { Self.attempt($0, hasGenerations: task.row.generation > 0) }
        hasAttempts = !attempts.isEmpty
        retry =
            mayWrite && task.row.status == .failed && !isInvalid && batch.info.cancelled == nil
            ? BatchHead.Action(
                name: "Retry this task",
                href: "\(api)/retry",
                body: "{\"indexes\":[\(index)]}",
                question: "Retry task \(Figures.number(index))?",
                text: "It runs again under the same number.",
                isDangerous: false
            ) : nil
        previous = index > 0 ? "\(href)/\(index - 1)" : nil
        next = index + 1 < batch.total ? "\(href)/\(index + 1)" : nil
        commands =
            ["sheaf events \(head.id) --index \(index)"]
            + (task.row.status == .failed && !isInvalid ? ["sheaf retry \(head.id) --index \(index)"] : [])
    }

    private static func facts(_ task: TaskDetail, _ outcome: Outcome?) -> [BatchView.Option] {
        var facts: [BatchView.Option] = []
        if let first = task.row.sameAs {
            facts.append(BatchView.Option(name: "Same record as", value: "task \(Figures.number(first))"))
        }
        guard let outcome else { return facts }
        facts.append(BatchView.Option(name: "Record", value: outcome.recordID, isCode: true))
        if task.row.status == .succeeded || task.row.status == .failed {
            facts.append(BatchView.Option(name: "Ended", value: "", moment: Moment(outcome.finishedAt)))
            let took = outcome.finishedAt - outcome.startedAt
            if outcome.attempts > 0 { facts.append(BatchView.Option(name: "Took", value: Figures.duration(took))) }
        } else {
            facts.append(BatchView.Option(name: "Retried", value: "it failed before and runs again"))
        }
        if outcome.attempts > 0 { facts.append(BatchView.Option(name: "Attempts", value: String(outcome.attempts))) }
        if !outcome.worker.isEmpty {
            facts.append(BatchView.Option(name: "Worker", value: outcome.worker, isCode: true))
        }
        for (name, amount) in outcome.usage.sorted {
            facts.append(BatchView.Option(name: Figures.cut(name, to: 64), value: Figures.number(amount)))
        }
        return facts
    }

    private static func attempt(_ attempt: TaskAttempt, hasGenerations: Bool) -> Attempt {
        let message = attempt.error.map { Figures.cut($0.message, to: CodeBlock.limit) }
        return Attempt(
            number: String(attempt.attempt),
            status: StatusLook(word: attempt.status.rawValue),
            errorType: attempt.error?.type,
            message: message,
            worker: attempt.worker,
            ended: Moment(attempt.finishedAt),
            took: attempt.startedAt.map { Figures.duration(attempt.finishedAt - $0) },
            generation: hasGenerations ? (attempt.generation == 0 ? "first run" : "retry \(attempt.generation)") : nil,
            isLong: (message?.utf8.count ?? 0) > 2000
        )
    }
}

extension BatchHead {
    /// Retries the failed tasks with an error.
    static func retry(_ batch: BatchSummary, type: String?, group: String?, count: Int?, api: String) -> Action {
        var filter: JSONValue = ["status": "failed"]
        if case .object(var members) = filter {
            if let group { members["group"] = .string(group) } else { members["error_type"] = type.map { .string($0) } }
            filter = .object(members)
        }
        let body: JSONValue = ["filter": filter]
        let tasks = count.map { Figures.count($0, "failed task") } ?? "all failed tasks"
        return Action(
            name: "Retry these",
            href: "\(api)/retry",
            body: body.text,
            question: "Retry \(tasks)?",
            text: "Those of \(batch.info.flow) \(batch.info.id) with the error "
                + "‘\(Figures.cut(type ?? "any other", to: 100))’ run again under the same numbers.",
            isDangerous: false
        )
    }
}
