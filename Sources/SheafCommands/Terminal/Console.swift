import Foundation
import Glibc
import Logging
import Synchronization

/// The two streams of a command: data on standard output, messages on standard error.
///
/// A progress bar stays below all messages. While a question is asked, the prompt stands there instead.
final class Console: Sendable {
    /// The destination of standard output.
    let output: Terminal
    /// The destination of standard error.
    let talk: Terminal
    /// Whether only errors are printed.
    let isQuiet: Bool
    private let bottom = Mutex(Bottom())

    /// What stands below all messages.
    private struct Bottom {
        var bar: String?
        var prompt: String?
    }

    init(isQuiet: Bool, environment: [String: String]) {
        self.isQuiet = isQuiet
        self.output = Terminal(descriptor: STDOUT_FILENO, environment: environment)
        self.talk = Terminal(descriptor: STDERR_FILENO, environment: environment)
    }

    /// Writes a line of data; control characters are written as escapes, which mean the same in JSON.
    func print(_ line: String) throws {
        try print(styled: SafeText.line(line))
    }

    /// Writes a line that may contain colours; the caller has escaped all other control characters.
    func print(styled line: String) throws {
        try DescriptorWriter(descriptor: STDOUT_FILENO, name: "standard output").write(Array((line + "\n").utf8))
    }

    /// Prints a message, unless the command is quiet.
    func say(_ text: String) {
        if !isQuiet { complain(text) }
    }

    /// Prints a message also if the command is quiet; passwords are masked and control characters escaped.
    func complain(_ text: String) {
        let text = SafeText.lines(Credentials.masked(text))
        bottom.withLock { bottom in
            if let prompt = bottom.prompt {
                // What was typed so far stays on the screen and counts.
                Self.put("\n" + text + "\n" + prompt)
            } else {
                Self.put((bottom.bar == nil ? "" : eraseLine) + text + "\n" + (bottom.bar ?? ""))
            }
        }
    }

    /// Shows a progress bar instead of the last one, or removes it.
    func show(bar text: String?) {
        bottom.withLock { bottom in
            if bottom.bar == nil, text == nil { return }
            bottom.bar = text
            // The bar would erase what is being typed.
            if bottom.prompt == nil { Self.put(eraseLine + (text ?? "")) }
        }
    }

    /// Shows the prompt of a question, or removes it.
    func show(prompt text: String?) {
        bottom.withLock { bottom in
            bottom.prompt = text
            Self.put(eraseLine + (text ?? bottom.bar ?? ""))
        }
    }

    private var eraseLine: String { talk.isInteractive ? "\r\u{1B}[2K" : "" }

    /// Writes to standard error; a failure is ignored because it could not be reported.
    private static func put(_ text: String) {
        try? DescriptorWriter(descriptor: STDERR_FILENO, name: "standard error").write(Array(text.utf8))
    }
}

extension Console {
    /// Creates the streams for the options and the environment.
    convenience init(_ options: CommonOptions) {
        self.init(isQuiet: options.quiet, environment: ProcessInfo.processInfo.environment)
    }
}

/// Writes each log entry as one line on standard error.
struct ConsoleLogHandler: LogHandler {
    let console: Console
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]

    init(console: Console, level: Logger.Level) {
        self.console = console
        self.logLevel = level
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        console.complain(Self.line(of: event, metadata: metadata))
    }

    /// Returns the entry as one line.
    static func line(of event: LogEvent, metadata: Logger.Metadata) -> String {
        var text = "sheaf: \(event.level): \(event.message)"
        let details = metadata.merging(event.metadata ?? [:]) { $1 }
        if let error = event.error { text += ": \(error)" }
        if !details.isEmpty {
            text += " (" + details.sorted { $0.key < $1.key }.map { "\($0)=\($1)" }.joined(separator: " ") + ")"
        }
        return text.split(whereSeparator: \.isNewline).joined(separator: " ")
    }
}
