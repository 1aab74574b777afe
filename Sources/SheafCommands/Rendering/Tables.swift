import Sheaf
import SheafBatches
import SheafCore

/// A table of text, its columns aligned with spaces.
struct TextTable: Sendable {
    /// A cell, and how it is coloured once it is aligned.
    struct Cell: Sendable {
        var text: String
        var paint: @Sendable (String) -> String

        init(_ text: String, paint: @escaping @Sendable (String) -> String = { $0 }) {
            self.text = text
            self.paint = paint
        }
    }

    /// A column; numbers are aligned to the right.
    struct Column: Sendable {
        var heading: String
        var isNumeric = false
    }

    private let columns: [Column]
    private var rows: [[Cell]] = []

    init(columns: [Column]) { self.columns = columns }

    /// Adds a row with a cell for each column.
    mutating func add(_ cells: [Cell]) { rows.append(cells) }

    /// The lines of the table, with the headings first; no line ends with spaces.
    var lines: [String] {
        let heading = columns.map { Cell($0.heading) }
        let widths = columns.indices.map { column in
            ([heading] + rows).map { $0[column].text.count }.max() ?? 0
        }
        return ([heading] + rows).map { cells in
            let last = cells.lastIndex { !$0.text.isEmpty } ?? 0
            return cells.indices.prefix(last + 1).map { column in
                let space = String(repeating: " ", count: widths[column] - cells[column].text.count)
                let painted = cells[column].paint(cells[column].text)
                if columns[column].isNumeric { return space + painted }
                return column == last ? painted : painted + space
            }.joined(separator: "  ")
        }
    }
}

/// Formats open questions, whose text is untrusted.
enum QuestionTable {
    /// Returns a table, one question per line.
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

/// Formats dead letters, whose text is untrusted.
enum DeadLetterTable {
    /// Returns a table, one letter per line.
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

    /// Returns one letter in full.
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

/// Formats groups of errors, whose text is untrusted.
enum ErrorTable {
    /// Returns a table, one group per line.
    static func lines(_ groups: [ErrorGroup]) -> [String] {
        var table = TextTable(columns: [
            .init(heading: "TASKS", isNumeric: true), .init(heading: "GROUP"), .init(heading: "TYPE"),
            .init(heading: "FIRST", isNumeric: true), .init(heading: "EXAMPLE"),
        ])
        for group in groups {
            table.add([
                .init(String(group.count)), .init(group.id),
                .init(TerminalText.line(group.type ?? "-", limit: 40)), .init(String(group.first)),
                .init(TerminalText.line(group.example, limit: 120)),
            ])
        }
        return table.lines
    }
}

/// Formats events of a batch, whose errors and details are untrusted.
enum EventLines {
    /// Returns an event on one line; only what is known is in it.
    static func line(_ event: BatchEvent) -> String {
        var parts = [
            event.at?.description ?? "-", "\(event.log.rawValue):\(event.offset)",
            event.index.map { "task \($0)" } ?? "batch", event.what,
        ]
        if event.isIgnored { parts[3] += " (ignored)" }
        if let generation = event.generation { parts.append("generation \(generation)") }
        if let attempt = event.attempt { parts.append("attempt \(attempt)") }
        if let worker = event.worker { parts.append("by \(TerminalText.line(worker, limit: 80))") }
        if let error = event.error { parts.append("\(error.type): \(error.message)") }
        if let detail = event.detail { parts.append(detail) }
        return parts.map { TerminalText.line($0, limit: 300) }.joined(separator: "  ")
    }
}
