import SystemPackage

/// Says that something could not be written.
struct WriteError: Error, Equatable, CustomStringConvertible {
    /// What the system says.
    let cause: Errno
    /// What was to be written.
    let name: String

    init(_ cause: Errno, name: String) {
        self.cause = cause
        self.name = name
    }

    /// Whether nobody reads any more, as with `| head`.
    var isBrokenPipe: Bool { cause == .brokenPipe }

    var description: String { "\(name): \(cause.description)" }
}
