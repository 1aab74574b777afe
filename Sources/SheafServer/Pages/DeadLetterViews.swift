import SheafBatches
import SheafCore

/// Messages that the broker gave up delivering.
struct DeadLetterListView {
    struct Row {
        let number: String
        let href: String
        let reason: String
        let queue: String
        let task: String?
        let taskHref: String?
        let size: String
        let came: Moment?
        let requeue: BatchHead.Action?
    }

    let base: String
    let rows: [Row]
    let isEmpty: Bool
    let count: String
    let remark: String?
    let actions: [BatchHead.Action]
    let commands = ["sheaf dead list"]

    static let maximumRows = 100

    init(_ letters: [DeadLetter], base: String, mayWrite: Bool) {
        self.base = base
        let shown = letters.suffix(Self.maximumRows).reversed()
        rows = shown.map { letter in
            Row(
                number: String(letter.offset),
                href: "\(base)/dead/\(letter.offset)",
                reason: Self.words(for: letter.reason),
                queue: letter.queue.isEmpty ? "unknown" : Figures.cut(letter.queue, to: 200),
                task: letter.task,
                taskHref: Self.href(ofTask: letter.task, base: base),
                size: Figures.size(letter.size),
                came: letter.at.map { Moment($0) },
                requeue: mayWrite ? Self.requeue(letter, base: base) : nil
            )
        }
        isEmpty = letters.isEmpty
        count = Figures.count(letters.count, "message")
        remark = letters.count > shown.count ? "The newest \(Figures.number(shown.count)) are shown." : nil
        actions =
            letters.isEmpty || !mayWrite
            ? []
            : [
                BatchHead.Action(
                    name: "Requeue all",
                    href: "\(base)/api/dead/requeue",
                    body: nil,
                    question: "Requeue \(Figures.count(letters.count, "dead letter"))?",
                    text: "Each goes back to its queue if that still exists and another run would count.",
                    isDangerous: false
                ),
                BatchHead.Action(
                    name: "Dismiss all",
                    href: "\(base)/api/dead",
                    method: "DELETE",
                    body: nil,
                    question: "Dismiss \(Figures.count(letters.count, "dead letter"))?",
                    text: "They leave this list; their tasks stay as they are.",
                    isDangerous: true
                ),
            ]
    }

    static func requeue(_ letter: DeadLetter, base: String) -> BatchHead.Action {
        BatchHead.Action(
            name: "Requeue",
            href: "\(base)/api/dead/\(letter.offset)/requeue",
            body: nil,
            question: "Requeue dead letter \(letter.offset)?",
            text: "It goes back to \(letter.queue.isEmpty ? "its queue" : letter.queue) and is delivered again.",
            isDangerous: false
        )
    }

    static func words(for reason: String) -> String {
        switch reason {
        case "": "unknown"
        case "rejected": "no worker could read it"
        case "delivery_limit": "its workers died repeatedly"
        default: Figures.cut(reason, to: 100)
        }
    }

    static func href(ofTask task: String?, base: String) -> String? {
        guard let parts = task?.split(separator: ":"), parts.count == 2, Name(String(parts[0])) != nil,
            let index = Int(parts[1])
        else { return nil }
        return "\(base)/batches/\(parts[0])/tasks/\(index)"
    }
}

/// One dead letter with its message.
struct DeadLetterView {
    struct Field {
        let name: String
        let value: String
    }

    let base: String
    let number: String
    let reason: String
    let came: Moment?
    let fields: [Field]
    let code: CodeBlock
    let requeue: BatchHead.Action?
    let taskHref: String?
    let task: String?

    init(_ letter: DeadLetter, _ message: Message, base: String, mayWrite: Bool) {
        self.base = base
        number = String(letter.offset)
        reason = DeadLetterListView.words(for: letter.reason)
        came = letter.at.map { Moment($0) }
        task = letter.task
        taskHref = DeadLetterListView.href(ofTask: letter.task, base: base)
        requeue = mayWrite ? DeadLetterListView.requeue(letter, base: base) : nil
        var fields = [
            Field(name: "Queue", value: letter.queue.isEmpty ? "unknown" : letter.queue),
            Field(name: "Type", value: message.type), Field(name: "Message", value: message.id),
            Field(name: "Content type", value: message.contentType),
        ]
        for header in message.headers.prefix(50) {
            let value: String =
                switch header.value {
                case .string(let text): Figures.cut(text, to: 500)
                case .integer(let number): String(number)
                case .bool(let flag): String(flag)
                }
            fields.append(Field(name: Figures.cut(header.name, to: 100), value: value))
        }
        self.fields = fields.filter { !$0.value.isEmpty }
        code = CodeBlock(message.body, name: "Body", download: "\(base)/api/dead/\(letter.offset)")
    }
}
