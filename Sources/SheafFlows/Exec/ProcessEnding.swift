import Glibc
import SheafCore
import Subprocess

/// What a supervisor observed of a process and all it started.
struct ProcessReport: Sendable {
    /// Standard output, at most as much as allowed.
    var output: [UInt8]
    /// The end of standard error.
    var errors: [UInt8]
    /// Why it was ended; nil if it ended by itself.
    var stop: ProcessLifecycle.Stop?
}

/// How a process ended, by itself or because of too much output.
struct ProcessEnding: Sendable {
    let status: TerminationStatus
    let report: ProcessReport

    /// The exit code with which a program asks for a retry (EX_TEMPFAIL of sysexits.h).
    private static let tryAgain: Int32 = 75

    /// Returns the output, or throws why there is none.
    func output(maximum: Int) throws(FlowError) -> FlowOutput {
        if report.stop == .outputTooLarge {
            throw FlowError(
                type: FlowError.outputTooLargeType,
                message: "wrote more than \(maximum) bytes to standard output and was ended; max_output sets the limit"
            )
        }
        switch status {
        case .exited(0): return try Self.parse(report.output)
        case .exited(let code):
            throw FlowError(
                type: "exit-code",
                message: "exit code \(code)\(Self.suffix(errors: report.errors))",
                isRetryable: code == Self.tryAgain,
                exitCode: Int(code)
            )
        case .signaled(let number):
            throw FlowError(
                type: "signal",
                message: "ended by \(SignalName.of(number))\(Self.suffix(errors: report.errors))"
            )
        }
    }

    /// Interprets an output: as JSON if all of it is JSON, otherwise as a string without its last line break.
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
                type: FlowError.outputNotTextType,
                message:
                    "standard output is not UTF-8; write bytes as Base64, or write them to a file and print its name"
            )
        }
        return .text(text)
    }

    /// The end of standard error after a colon, as the end of a message; empty if there is none.
    static func suffix(errors: [UInt8]) -> String {
        // A tail that begins inside a character begins with continuation bytes of UTF-8.
        let whole = errors.drop { $0 & 0xC0 == 0x80 }
        let text = String(decoding: Array(whole).trimmingWhiteSpace, as: UTF8.self)
        return text.isEmpty ? "" : ": \(text)"
    }
}

extension [UInt8] {
    /// The bytes without white space at the start and the end.
    fileprivate var trimmingWhiteSpace: ArraySlice<UInt8> {
        var part = drop(while: Self.isSpace)
        while let last = part.last, Self.isSpace(last) { part.removeLast() }
        return part
    }

    private static func isSpace(_ byte: UInt8) -> Bool {
        byte == 0x20 || 0x09...0x0D ~= byte
    }
}

/// The names of signals.
enum SignalName {
    private static let names: [Int32: String] = [
        SIGHUP: "SIGHUP", SIGINT: "SIGINT", SIGQUIT: "SIGQUIT", SIGILL: "SIGILL", SIGTRAP: "SIGTRAP",
        SIGABRT: "SIGABRT", SIGBUS: "SIGBUS", SIGFPE: "SIGFPE", SIGKILL: "SIGKILL", SIGUSR1: "SIGUSR1",
        SIGSEGV: "SIGSEGV", SIGUSR2: "SIGUSR2", SIGPIPE: "SIGPIPE", SIGALRM: "SIGALRM", SIGTERM: "SIGTERM",
        SIGXCPU: "SIGXCPU", SIGXFSZ: "SIGXFSZ", SIGSYS: "SIGSYS",
    ]

    /// Returns the number with the name, as in `signal 9 (SIGKILL)`.
    static func of(_ number: Int32) -> String {
        "signal \(number)" + (names[number].map { " (\($0))" } ?? "")
    }
}
