import SheafBatches
import SheafCore

/// The questions of tasks that wait for an answer.
struct QuestionView {
    struct Row {
        let key: String
        let number: Int
        let task: String
        let taskHref: String
        let text: String
        let choices: [String]
        let takesText: Bool
        let fallback: String?
        let worker: String
        let asked: Moment
        /// The address to post the answer to, or nil if this browser may not answer.
        let href: String?
    }

    let base: String
    let rows: [Row]
    let isEmpty: Bool
    let count: String
    let remark: String?
    let commands = ["sheaf create --interactive FLOW FILE"]

    static let maximumRows = 50

    init(_ questions: [OpenQuestion], base: String, mayWrite: Bool) {
        self.base = base
        rows = questions.prefix(Self.maximumRows).map { open in
            Row(
                key: "\(open.task)-\(open.id.generation)-\(open.id.number)",
                number: open.id.number,
                task: open.task,
                taskHref: "\(base)/batches/\(open.batch)/tasks/\(open.id.index)",
                text: Figures.cut(open.question.text, to: 4000),
                choices: open.question.choices,
                takesText: open.question.choices.isEmpty,
                fallback: open.question.fallback,
                worker: open.worker,
                asked: Moment(open.askedAt),
                href: mayWrite ? "\(base)/api/questions/\(open.task)" : nil
            )
        }
        isEmpty = questions.isEmpty
        count = Figures.count(questions.count, "open question")
        remark = questions.count > rows.count ? "The oldest \(Figures.number(rows.count)) are shown." : nil
    }
}
