import Glibc
import Synchronization

/// The two streams of a command: data on standard output, talk on standard error.
///
/// A progress bar, where one is shown, stays below whatever else is said.
final class Console: Sendable {
    /// What standard output leads to.
    let output: Terminal
    /// What standard error leads to.
    let talk: Terminal
    /// Whether only errors are said.
    let isQuiet: Bool
    private let bar = Mutex<String?>(nil)

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
        bar.withLock { bar in
            Self.put((bar == nil ? "" : Self.eraseLine) + text + "\n" + (bar ?? ""))
        }
    }

    /// Shows a progress bar in place of the one before, or takes it away.
    func show(bar text: String?) {
        bar.withLock { bar in
            if bar == nil, text == nil { return }
            bar = text
            Self.put(Self.eraseLine + (text ?? ""))
        }
    }

    private static let eraseLine = "\r\u{1B}[2K"

    /// Nobody can be told that telling failed, so that is ignored.
    private static func put(_ text: String) {
        try? DescriptorWriter(descriptor: STDERR_FILENO, name: "standard error").write(Array(text.utf8))
    }
}
