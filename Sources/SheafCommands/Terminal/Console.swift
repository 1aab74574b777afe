import Glibc
import Synchronization

/// The two streams of a command: data on standard output, talk on standard error.
///
/// A progress bar, where one is shown, stays below whatever else is said; while a person is asked something, the place where they
/// type stands there instead.
final class Console: Sendable {
    /// What standard output leads to.
    let output: Terminal
    /// What standard error leads to.
    let talk: Terminal
    /// Whether only errors are said.
    let isQuiet: Bool
    private let bottom = Mutex(Bottom())

    /// What stands below all that is said.
    private struct Bottom {
        var bar: String?
        var prompt: String?
    }

    init(isQuiet: Bool, environment: [String: String]) {
        self.isQuiet = isQuiet
        self.output = Terminal(descriptor: STDOUT_FILENO, environment: environment)
        self.talk = Terminal(descriptor: STDERR_FILENO, environment: environment)
    }

    /// Writes a line of data; what a terminal would obey is written as an escape, which in JSON stands for the same.
    func print(_ line: String) throws {
        try print(styled: SafeText.line(line))
    }

    /// Writes a line that may hold colours, whose maker has made sure of the rest of it.
    func print(styled line: String) throws {
        try DescriptorWriter(descriptor: STDOUT_FILENO, name: "standard output").write(Array((line + "\n").utf8))
    }

    /// Says something to the person at the terminal, unless they want quiet.
    func say(_ text: String) {
        if !isQuiet { complain(text) }
    }

    /// Says something that must be said; without passwords, and without what a terminal would obey.
    func complain(_ text: String) {
        let text = SafeText.lines(Credentials.masked(text))
        bottom.withLock { bottom in
            if let prompt = bottom.prompt {
                // What was typed so far stays where it is, and counts.
                Self.put("\n" + text + "\n" + prompt)
            } else {
                Self.put((bottom.bar == nil ? "" : eraseLine) + text + "\n" + (bottom.bar ?? ""))
            }
        }
    }

    /// Shows a progress bar in place of the one before, or takes it away.
    func show(bar text: String?) {
        bottom.withLock { bottom in
            if bottom.bar == nil, text == nil { return }
            bottom.bar = text
            // It would take away what somebody is typing.
            if bottom.prompt == nil { Self.put(eraseLine + (text ?? "")) }
        }
    }

    /// Shows where a person is to type, or, with nil, that nothing is asked any more.
    func show(prompt text: String?) {
        bottom.withLock { bottom in
            bottom.prompt = text
            Self.put(eraseLine + (text ?? bottom.bar ?? ""))
        }
    }

    private var eraseLine: String { talk.isInteractive ? "\r\u{1B}[2K" : "" }

    /// Nobody can be told that telling failed, so that is ignored.
    private static func put(_ text: String) {
        try? DescriptorWriter(descriptor: STDERR_FILENO, name: "standard error").write(Array(text.utf8))
    }
}
