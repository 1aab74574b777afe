/// An error as the person at the terminal is told of it: what happened, what to do about it, and the exit code.
struct Diagnosis: Error, Equatable {
    /// The exit code.
    var status: ExitReason
    /// What happened and where; nil where there is nothing to say.
    var message: String?
    /// What to do next.
    var advice: String?

    init(_ status: ExitReason, _ message: String?, advice: String? = nil) {
        self.status = status
        self.message = message
        self.advice = advice
    }

    /// Ends the command without a word, because everything has been said.
    static func silent(_ status: ExitReason) -> Diagnosis { Diagnosis(status, nil) }

    /// The lines for standard error.
    var text: String? {
        guard let message else { return nil }
        let indented = message.split(separator: "\n", omittingEmptySubsequences: false).joined(separator: "\n  ")
        guard let advice else { return "sheaf: \(indented)" }
        return "sheaf: \(indented)\n  \(advice.split(separator: "\n").joined(separator: "\n  "))"
    }
}
