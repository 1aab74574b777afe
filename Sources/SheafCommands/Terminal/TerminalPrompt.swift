import Glibc
import Sheaf
import SheafCore

/// The person at the worker's terminal, who can be asked one question at a time.
struct TerminalPrompt: QuestionPrompt {
    let console: Console

    private static let pollMilliseconds: Int32 = 100
    private static let prompt = "answer: "

    /// The person at this process's terminal; nil where standard input or standard error is none.
    init?(_ console: Console) {
        guard isatty(STDIN_FILENO) == 1, isatty(STDERR_FILENO) == 1 else { return nil }
        self.console = console
    }

    @concurrent
    func ask(_ question: Question, of task: String) async throws -> String? {
        var text = "task \(task) asks: \(question.text)"
        if !question.choices.isEmpty { text += " (\(question.choices.joined(separator: ", ")))" }
        if let fallback = question.fallback { text += " [\(fallback)]" }
        console.complain(text)
        console.show(prompt: Self.prompt)
        defer { console.show(prompt: nil) }
        while let line = try await nextLine() {
            if let answer = question.answer(line) { return answer }
            console.show(prompt: nil)
            console.complain(
                question.choices.isEmpty
                    ? "an answer must not be empty" : "choose one of: \(question.choices.joined(separator: ", "))"
            )
            console.show(prompt: Self.prompt)
        }
        return nil
    }

    /// The next line that is typed; nil at the end of the input.
    ///
    /// Looks again and again whether it is still wanted.
    private func nextLine() async throws -> String? {
        var bytes: [UInt8] = []
        while true {
            try Task.checkCancellation()
            var descriptor = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
            // Nobody types while the worker is in the background: reading there would stop it. A terminal that is not the one that
            // controls the worker (-1) has no background.
            let foreground = tcgetpgrp(STDIN_FILENO)
            guard foreground == getpgrp() || foreground < 0 else {
                try await Task.sleep(for: .milliseconds(Int(Self.pollMilliseconds)))
                continue
            }
            guard poll(&descriptor, 1, 0) > 0 else {
                try await Task.sleep(for: .milliseconds(Int(Self.pollMilliseconds)))
                continue
            }
            var byte: UInt8 = 0
            // A terminal hands out whole lines, so that this does not wait.
            guard read(STDIN_FILENO, &byte, 1) == 1 else { return nil }
            if byte == UInt8(ascii: "\n") { return String(decoding: bytes, as: UTF8.self) }
            if bytes.count < QuestionEntry.maximumSize { bytes.append(byte) }
        }
    }
}
