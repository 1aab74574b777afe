import Glibc
import SheafCore
import Subprocess

/// What was seen of a process until all it started was over.
struct ProcessReport: Sendable {
    /// Standard output, at most as much as allowed.
    var output: [UInt8]
    /// The end of standard error.
    var errors: [UInt8]
    /// Why it was ended, if it did not end by itself.
    var stop: ProcessLifecycle.Stop?
}

/// How a process ended by itself, or by our hand because of its output.
struct ProcessEnding: Sendable {
    let status: TerminationStatus
    let report: ProcessReport

    /// The exit code by which a program asks for another try later (EX_TEMPFAIL of sysexits.h).
    private static let tryAgain: Int32 = 75

    /// The output, or why there is none.
    func output(maximum: Int) throws(FlowError) -> FlowOutput {
        if report.stop == .outputTooLarge {
            throw FlowError(
                type: "output-too-large",
                message: "wrote more than \(maximum) bytes to standard output and was ended; max_output sets the limit"
            )
        }
        switch status {
        case .exited(0): return try Self.parse(report.output)
        case .exited(let code):
            throw FlowError(
                type: "exit-code",
                message: "exit code \(code)\(lastWords)",
                isRetryable: code == Self.tryAgain,
                exitCode: Int(code)
            )
        case .signaled(let number):
            throw FlowError(type: "signal", message: "ended by \(SignalName.of(number))\(lastWords)")
        }
    }

    /// Takes what was written as JSON where the whole of it is, else as text without its last line break.
    static func parse(_ bytes: [UInt8]) throws(FlowError) -> FlowOutput {
        let trimmed = bytes.trimmingWhiteSpace
        if !trimmed.isEmpty {
            let json = Array(trimmed)
            if (try? JSON.validate(json)) != nil { return .json(json) }
        }
        var text = bytes[...]
        if text.last == UInt8(ascii: "\n") {
            text.removeLast()
            if text.last == UInt8(ascii: "\r") { text.removeLast() }
        }
        guard let text = String(validating: text, as: UTF8.self) else {
            throw FlowError(
                type: "output-not-text",
                message:
                    "standard output is not UTF-8; bytes can be written as Base64, or to a file whose name is printed"
            )
        }
        return .text(text)
    }

    /// What standard error ended with, behind a colon.
    private var lastWords: String { Self.words(of: report.errors) }

    /// What the end of standard error says, behind a colon.
    static func words(of errors: [UInt8]) -> String {
        // A tail that begins within a character begins with its continuation bytes.
        let whole = errors.drop { $0 & 0xC0 == 0x80 }
        let text = String(decoding: Array(whole).trimmingWhiteSpace, as: UTF8.self)
        return text.isEmpty ? "" : ": \(text)"
    }
}

extension [UInt8] {
    /// The bytes without white space at both ends.
    fileprivate var trimmingWhiteSpace: ArraySlice<UInt8> {
        var part = drop(while: Self.isSpace)
        while let last = part.last, Self.isSpace(last) { part.removeLast() }
        return part
    }

    private static func isSpace(_ byte: UInt8) -> Bool {
        byte == 0x20 || 0x09...0x0D ~= byte
    }
}

/// Signals by name.
enum SignalName {
    private static let names: [Int32: String] = [
        SIGHUP: "SIGHUP", SIGINT: "SIGINT", SIGQUIT: "SIGQUIT", SIGILL: "SIGILL", SIGTRAP: "SIGTRAP",
        SIGABRT: "SIGABRT", SIGBUS: "SIGBUS", SIGFPE: "SIGFPE", SIGKILL: "SIGKILL", SIGUSR1: "SIGUSR1",
        SIGSEGV: "SIGSEGV", SIGUSR2: "SIGUSR2", SIGPIPE: "SIGPIPE", SIGALRM: "SIGALRM", SIGTERM: "SIGTERM",
        SIGXCPU: "SIGXCPU", SIGXFSZ: "SIGXFSZ", SIGSYS: "SIGSYS",
    ]

    /// The number with the name, as in `signal 9 (SIGKILL)`.
    static func of(_ number: Int32) -> String {
        "signal \(number)" + (names[number].map { " (\($0))" } ?? "")
    }
}
