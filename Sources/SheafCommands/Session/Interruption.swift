import Glibc

/// Says that a signal ended the command.
struct Interruption: Error, Equatable {
    /// The signal's number.
    let signal: Int32

    /// The exit code: 128 and the signal's number, as shells have it.
    var status: ExitReason { signal == SIGTERM ? .terminated : .interrupted }
}
