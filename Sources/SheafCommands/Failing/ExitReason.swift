/// What the exit code of a command means; scripts rely on the numbers, so none of them ever changes.
///
/// 0 to 7 are Sheaf's own, 64 to 78 those of `sysexits.h`, and 128 plus a signal's number what shells use.
enum ExitReason: Int32, CaseIterable {
    /// Everything asked for was done, and every task waited for succeeded.
    case success = 0
    /// A task failed, the policy stopped the batch, or its creator died.
    case unsuccessful = 1
    /// There is no broker, or it refuses the user or password.
    case unreachable = 3
    /// The batch exists already, has ended already, or does not allow this as it stands.
    case conflict = 4
    /// There is no such batch or flow.
    case notFound = 5
    /// The batch was cancelled.
    case cancelled = 6
    /// It took longer than allowed.
    case timedOut = 7
    /// The command line makes no sense.
    case usage = 64
    /// The input has records that can not be read, or none at all.
    case badData = 65
    /// An input is missing or can not be read.
    case noInput = 66
    /// The broker works, but not in a way that Sheaf can use.
    case unavailable = 69
    /// Sheaf has a fault.
    case fault = 70
    /// Reading or writing failed, for example because the disk is full.
    case inputOutput = 74
    /// The broker accepts no messages for now.
    case blocked = 75
    /// The configuration makes no sense.
    case configuration = 78
    /// Ended by SIGINT.
    case interrupted = 130
    /// Ended by SIGTERM.
    case terminated = 143

    /// What it means, in words for the help.
    var meaning: String {
        switch self {
        case .success: "success; where a batch was waited for, every task succeeded"
        case .unsuccessful: "a task failed, the error policy stopped the batch, or its creator died"
        case .unreachable: "the broker is unreachable, or refuses the user or password"
        case .conflict: "the batch exists already, has ended already, or does not allow this as it stands"
        case .notFound: "there is no such batch or flow"
        case .cancelled: "the batch was cancelled"
        case .timedOut: "it took longer than allowed"
        case .usage: "the command line makes no sense"
        case .badData: "the input has records that can not be read, or no record at all"
        case .noInput: "an input is missing or can not be read"
        case .unavailable: "the broker works, but not in a way that Sheaf can use"
        case .fault: "Sheaf has a fault; please report it"
        case .inputOutput: "reading or writing failed, for example because the disk is full"
        case .blocked: "the broker accepts no messages for now (memory or disk alarm); try again later"
        case .configuration: "the configuration makes no sense"
        case .interrupted: "ended by SIGINT (Ctrl-C)"
        case .terminated: "ended by SIGTERM"
        }
    }

    /// All codes and their meanings, one a line.
    static var table: String {
        allCases.map { status in
            let code = String(status.rawValue)
            return String(repeating: " ", count: max(0, 5 - code.count)) + code + "  " + status.meaning
        }.joined(separator: "\n")
    }
}
