import Glibc
import Sheaf
import SheafCore

/// Asks questions at the worker's terminal, one at a time.
struct TerminalPrompt: QuestionPrompt {
    let console: Console

    private static let pollMilliseconds: Int32 = 100
    private static let prompt = "answer: "

    /// Creates a prompt; returns nil if standard input or standard error is not a terminal.
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

    /// Returns the next typed line, or nil at the end of the input.
    ///
    /// Polls, so that cancellation takes effect.
    private func nextLine() async throws -> String? {
        var bytes: [UInt8] = []
        while true {
            try Task.checkCancellation()
            var descriptor = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
            // A process in the background would be stopped by reading. A terminal that does not control the worker
            // (-1) has no background.
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
            // A terminal delivers whole lines, so this does not block.
            guard read(STDIN_FILENO, &byte, 1) == 1 else { return nil }
            if byte == UInt8(ascii: "\n") { return String(decoding: bytes, as: UTF8.self) }
            if bytes.count < QuestionEntry.maximumSize { bytes.append(byte) }
        }
    }
}
