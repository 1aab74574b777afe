import SheafFormats
import SheafSources

/// An error as the command reports it: the exit code, what happened, and what to do about it.
struct Diagnosis: Error, Equatable {
    /// The exit code.
    var status: ExitReason
    /// What happened and where; nil if there is nothing to print.
    var message: String?
    /// What to do next, on a line of its own.
    var advice: String?

    init(_ status: ExitReason, _ message: String?, advice: String? = nil) {
        self.status = status
        self.message = message
        self.advice = advice
    }

    /// Creates the diagnosis of any error; the one place where errors become exit codes.
    init(of error: any Error) {
        switch error {
        case let error as Diagnosis: self = error
        case let error as Interruption: self = .silent(error.status)
        case let error as WriteError: self.init(.inputOutput, error.description)
        default: self.init(Problem(of: error))
        }
    }

    /// Puts a problem into the words of the command.
    private init(_ problem: Problem) {
        self.init(ExitReason(problem.kind), problem.message)
        guard let remedy = problem.advice else { return }
        if case .batches(let advice) = remedy {
            message = Wording.message(problem.message, advice: advice)
        } else {
            advice = Wording.advice(remedy)
        }
    }

    /// Creates the diagnosis of an input that cannot be read, with advice for the command line.
    init(of error: SourceError, reading source: SourceConfiguration) {
        self.init(of: error)
        switch error.code {
        case .unknownFormat: advice = "name the format with --format"
        case .notFound, .noMatch: advice = source.workingDirectory.map { "the flow's source starts from \($0)" }
        default: break
        }
    }

    /// Ends the command without a message, because everything has been printed.
    static func silent(_ status: ExitReason) -> Diagnosis { Diagnosis(status, nil) }

    /// The lines for standard error.
    var text: String? {
        guard let message else { return nil }
        let indented = message.split(separator: "\n", omittingEmptySubsequences: false).joined(separator: "\n  ")
        guard let advice else { return "sheaf: \(indented)" }
        return "sheaf: \(indented)\n  \(advice.split(separator: "\n").joined(separator: "\n  "))"
    }
}
