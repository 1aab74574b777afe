import Sheaf
import SheafCore

/// Dead letters for people; all of their texts come from outside.
enum DeadLetterTable {
    /// A table, one letter a line.
    static func lines(_ letters: [DeadLetter], now: Timestamp) -> [String] {
        var table = TextTable(columns: [
            .init(heading: "NUMBER", isNumeric: true), .init(heading: "CAME"), .init(heading: "REASON"),
            .init(heading: "QUEUE"),
            .init(heading: "TASK"), .init(heading: "BYTES", isNumeric: true), .init(heading: "BODY"),
        ])
        for letter in letters {
            table.add([
                .init(String(letter.offset)),
                .init(letter.at.map { Wording.ago($0, now: now) } ?? "-"),
                .init(TerminalText.line(known(letter.reason), limit: 20)),
                .init(TerminalText.line(known(letter.queue), limit: 80)),
                .init(letter.task ?? "-"),
                .init(String(letter.size)),
                .init(TerminalText.line(letter.preview, limit: 40)),
            ])
        }
        return table.lines
    }

    /// One letter in full.
    static func details(_ letter: DeadLetter, _ message: Message) -> [String] {
        var entries: [(label: String, text: String)] = [
            ("number", String(letter.offset)), ("came", letter.at?.description ?? "unknown"),
            ("reason", known(letter.reason)), ("queue", known(letter.queue)),
            ("task", letter.task ?? "-"), ("type", message.type), ("id", message.id),
            ("content type", message.contentType),
        ]
        for header in message.headers { entries.append((header.name, text(of: header.value))) }
        entries.append(("body", Wording.count(letter.size, "byte")))
        let lines = entries.map { "\(TerminalText.line($0.label)): \(TerminalText.line($0.text, limit: 2000))" }
        return lines + [""] + [TerminalText.block(message.body)]
    }

    private static func known(_ text: String) -> String { text.isEmpty ? "unknown" : text }

    private static func text(of value: Message.HeaderValue) -> String {
        switch value {
        case .string(let text): text
        case .integer(let number): String(number)
        case .bool(let flag): String(flag)
        }
    }
}
