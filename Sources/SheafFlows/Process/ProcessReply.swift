import Logging
import SheafCore

/// What a child says in one line.
struct ProcessReply {
    enum Content {
        /// The task succeeded.
        case output(FlowOutput)
        /// The task failed.
        case failed(FlowError)
        /// Something for the log.
        case log(Logger.Level, String)
        /// How far the task is, for the log.
        case progress(String)
        /// A question to people.
        case ask(Question)
    }

    /// What it says.
    let content: Content
    /// Whether it says of which task, so that it can not be taken for the answer to another.
    let namesTask: Bool

    /// A second answer to the task that the child has answered last.
    struct Repetition: Error {
        let task: String
    }

    /// Reads a line.
    ///
    /// - Parameters:
    ///   - line: What the child has written.
    ///   - task: The task that it is to answer.
    ///   - answered: The one that it has answered before.
    /// - Throws: ``Repetition``, or ``FlowError`` of type `protocol` where it is no reply, or one for another task.
    init(line: [UInt8], task: String, after answered: () -> String?) throws {
        let members: [(name: String, range: Range<Int>)]
        do {
            members = try JSON.slices(of: line)
        } catch {
            throw Self.rubbish(line)
        }
        func text(_ name: String) -> [UInt8]? {
            members.last { $0.name == name }.map { Array(line[$0.range]) }
        }
        func value(_ name: String) -> JSONValue? { text(name).flatMap { try? JSON.parse($0) } }
        let id = value("task_id")
        if let id, id != .string(task) {
            if let answered = answered(), id == .string(answered) { throw Repetition(task: answered) }
            throw Self.breach("answered with the task_id \(id.text), but its task is '\(task)'")
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
                throw Self.breach("asked without a text as 'question'")
            }
            content = .ask(question)
        } else {
            throw Self.rubbish(line)
        }
    }

    /// The error of a child that does not speak as it should.
    static func breach(_ what: String) -> FlowError {
        FlowError(type: "protocol", message: "the program \(what); it was ended, and another is started")
    }

    private static func rubbish(_ line: [UInt8]) -> FlowError {
        let start = String(decoding: line.prefix(120), as: UTF8.self)
        return breach(
            """
            printed '\(start)\(line.count > 120 ? "…" : "")', which is no reply: a reply is one line of JSON, \
            {"output": …} or {"error": …}; what is for people goes to standard error
            """
        )
    }
}

extension FlowError {
    /// The most of a message that is kept, in characters.
    private static let longestMessage = 4 << 10

    /// Reads what a child says of a failure: an object with `type`, `message` and `retryable`, or just a text.
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
    /// A text as it is, anything else as JSON.
    fileprivate var shown: String { stringValue ?? text }
}
