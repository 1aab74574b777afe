import Sheaf
import SheafCore

/// Open questions for people; all of their texts come from tasks.
enum QuestionTable {
    /// A table, one question a line.
    static func lines(_ questions: [OpenQuestion], now: Timestamp) -> [String] {
        var table = TextTable(columns: [
            .init(heading: "TASK"), .init(heading: "ASKED"), .init(heading: "QUESTION"), .init(heading: "CHOICES"),
            .init(heading: "DEFAULT"),
        ])
        for open in questions {
            let choices = open.question.choices.joined(separator: ", ")
            table.add([
                .init(open.task),
                .init(Wording.ago(open.askedAt, now: now)),
                .init(TerminalText.line(open.question.text, limit: 200)),
                .init(choices.isEmpty ? "-" : TerminalText.line(choices, limit: 80)),
                .init(open.question.fallback.map { TerminalText.line($0, limit: 40) } ?? "-"),
            ])
        }
        return table.lines
    }
}

extension OpenQuestion {
    /// One element of what `questions --json` prints.
    var json: JSONValue {
        [
            "task_id": .string(task), "batch_id": .string(batch.text), "number": .integer(id.number),
            "generation": .integer(id.generation), "question": .string(question.text),
            "choices": .array(question.choices.map(JSONValue.string)), "default": .optional(question.fallback),
            "worker": .string(worker), "asked_at": .string(askedAt.description),
        ]
    }
}
