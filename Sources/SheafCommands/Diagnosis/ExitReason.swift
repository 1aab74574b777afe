import SheafCore
import SheafFormats

/// The exit code of a command; scripts rely on the numbers, so they never change.
///
/// 0 to 7 are Sheaf's own, 64 to 78 are those of `sysexits.h`, and 128 plus the number of a signal is what shells use.
enum ExitReason: Int32, CaseIterable {
    /// The command succeeded, and so did every task that it waited for.
    case success = 0
    /// A task failed, the policy stopped the batch, or its creator died.
    case unsuccessful = 1
    /// The broker is unreachable, or rejects the user or password.
    case unreachable = 3
    /// The batch exists already, has ended, or its state does not allow this.
    case conflict = 4
    /// A batch, task, open question, flow or dead letter that the command names does not exist.
    case notFound = 5
    /// The batch was cancelled.
    case cancelled = 6
    /// A time limit has passed.
    case timedOut = 7
    /// The command line is invalid.
    case usage = 64
    /// The input has no records, unreadable ones, or not those that its batch was created from.
    case badData = 65
    /// An input is missing or cannot be read.
    case noInput = 66
    /// The broker is incompatible with Sheaf.
    case unavailable = 69
    /// An internal error.
    case fault = 70
    /// Reading or writing failed, for example because the disk is full.
    case inputOutput = 74
    /// The broker accepts no messages for now.
    case blocked = 75
    /// The configuration is invalid.
    case configuration = 78
    /// Ended by SIGINT.
    case interrupted = 130
    /// Ended by SIGTERM.
    case terminated = 143

    /// The meaning, for the help.
    var meaning: String {
        switch self {
        case .success: "success; if the command waited for a batch, every task succeeded"
        case .unsuccessful: "a task failed, the error policy stopped the batch, or its creator died"
        case .unreachable: "the broker is unreachable, or rejects the user or password"
        case .conflict: "the batch exists already, has ended, or its state does not allow this"
        case .notFound: "what the command names does not exist: a batch, task, open question, flow or dead letter"
        case .cancelled: "the batch was cancelled"
        case .timedOut: "a time limit has passed"
        case .usage: "the command line is invalid"
        case .badData: "the input has no records, unreadable ones, or not those of its batch"
        case .noInput: "an input is missing or cannot be read"
        case .unavailable: "the broker is incompatible with Sheaf"
        case .fault: "internal error in Sheaf; please report it"
        case .inputOutput: "reading or writing failed, for example because the disk is full"
        case .blocked: "the broker accepts no messages for now (an alarm); try again later"
        case .configuration: "the configuration is invalid"
        case .interrupted: "ended by SIGINT (Ctrl-C)"
        case .terminated: "ended by SIGTERM"
        }
    }

    /// Returns the exit code for a kind of problem.
    init(_ kind: Problem.Kind) {
        self =
            switch kind {
            case .usage: .usage
            case .configuration: .configuration
            case .badData: .badData
            case .noInput: .noInput
            case .notFound: .notFound
            case .conflict: .conflict
            case .cancelled: .cancelled
            case .timedOut: .timedOut
            case .interrupted: .unsuccessful
            case .unreachable: .unreachable
            case .blocked: .blocked
            case .incompatible: .unavailable
            case .inputOutput: .inputOutput
            case .fault: .fault
            }
    }

    /// All codes with their meanings, one per line.
    static var table: String {
        allCases.map { status in
            let code = String(status.rawValue)
            return String(repeating: " ", count: max(0, 5 - code.count)) + code + "  " + status.meaning
        }.joined(separator: "\n")
    }
}

extension BatchSummary {
    /// The exit code of a command that waited for the batch.
    var verdict: ExitReason {
        switch status {
        case .cancelled: .cancelled
        case .failed: .unsuccessful
        case .completed: counts.failed > 0 ? .unsuccessful : .success
        case .paused where info.awaitsResume: pilot.map { $0.failed > 0 } == true ? .unsuccessful : .success
        case .pending, .processing, .paused: lacksCreator ? .unsuccessful : .success
        }
    }

    /// Whether the batch cannot end by itself, because its creator died before everything was published.
    var lacksCreator: Bool { isInterrupted && info.cancelled == nil && info.ending == nil }
}
