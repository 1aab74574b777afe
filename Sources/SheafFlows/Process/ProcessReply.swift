import Logging
import SheafCore

/// One line of a child's standard output.
struct ProcessReply {
    enum Content {
        /// The task succeeded.
        case output(FlowOutput)
        /// The task failed.
        case failed(FlowError)
        /// A message for the log.
        case log(Logger.Level, String)
        /// The task's progress, for the log.
        case progress(String)
        /// A question to people.
        case ask(Question)
    }

    let content: Content
    /// Whether the line names its task, so that it cannot be mistaken for the answer to another.
    let namesTask: Bool

    /// Reports a second answer to the task that the child answered last.
    struct Repetition: Error {
        let task: String
    }

    /// Reads a line.
    ///
    /// - Parameters:
    ///   - line: The line, without its line break.
    ///   - task: The id of the task that the child must answer.
    ///   - answered: Returns the id of the task that the child answered before.
    /// - Throws: ``Repetition``, or ``FlowError`` of type `protocol` if the line is no reply, or one for another task.
    init(line: [UInt8], task: String, after answered: () -> String?) throws {
        let members: [(name: String, range: Range<Int>)]
        do {
            members = try JSON.slices(of: line)
        } catch {
            throw Self.noReply(line)
        }
        func text(_ name: String) -> [UInt8]? {
            members.last { $0.name == name }.map { Array(line[$0.range]) }
        }
        func value(_ name: String) -> JSONValue? { text(name).flatMap { try? JSON.parse($0) } }
        let id = value("task_id")
        if let id, id != .string(task) {
            if let answered = answered(), id == .string(answered) { throw Repetition(task: answered) }
            throw Self.violation("answered with the task_id \(id.text), but its task is '\(task)'")
        }
        namesTask = id != nil
        if let output = text("output") {
            let usage = Usage(json: value("usage"))
            content = .output(usage.isEmpty ? .json(output) : .metered(.json(output), usage))
        } else if let error = value("error") {
            content = .failed(FlowError(reply: error))
        } else if let log = value("log") {
            let level = log["level"]?.stringValue.flatMap { Logger.Level(rawValue: $0) } ?? .info
            content = .log(level, (log["message"] ?? log).shown)
        } else if let progress = value("progress") {
            content = .progress(progress.shown)
        } else if let ask = value("ask") {
            guard let question = Question(reply: ask) else {
                throw Self.violation("asked without a string as 'question'")
            }
            content = .ask(question)
        } else {
            throw Self.noReply(line)
        }
    }

    /// The error of a child that does not keep to the protocol.
    private static func violation(_ what: String) -> FlowError {
        FlowError(type: "protocol", message: "the program \(what); it was ended, and another is started")
    }

    private static func noReply(_ line: [UInt8]) -> FlowError {
        let start = String(decoding: line.prefix(120), as: UTF8.self)
        return violation(
            """
            printed '\(start)\(line.count > 120 ? "…" : "")', which is no reply: a reply is one line of JSON, \
            {"output": …} or {"error": …}; print messages for people to standard error
            """
        )
    }
}

extension FlowError {
    /// The longest message that is kept, in characters.
    private static let longestMessage = 4 << 10

    /// Reads a child's report of a failure: an object with `type`, `message` and `retryable`, or just a string.
    fileprivate init(reply error: JSONValue) {
        let message = (error["message"] ?? error).shown
        self.init(
            type: error["type"]?.stringValue.flatMap { $0.isEmpty || $0.utf8.count > 64 ? nil : $0 } ?? "error",
            message: message.count > Self.longestMessage ? "\(message.prefix(Self.longestMessage))…" : message,
            isRetryable: error["retryable"]?.boolValue ?? false
        )
    }
}

extension Question {
    fileprivate init?(reply ask: JSONValue) {
        guard let text = ask["question"]?.stringValue, !text.isEmpty else { return nil }
        self.init(
            text,
            choices: (ask["choices"]?.arrayValue ?? []).map(\.shown),
            fallback: ask["default"].flatMap { $0 == .null ? nil : $0.shown }
        )
    }
}

extension JSONValue {
    /// A string as it is, any other value as JSON.
    fileprivate var shown: String { stringValue ?? text }
}
