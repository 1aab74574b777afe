import SheafCore

/// One thing that `doctor` looked at.
struct HealthCheck: Sendable, Equatable {
    /// How it is.
    enum Level: String, Sendable {
        /// As it should be.
        case ok
        /// Something to know.
        case note
        /// It works, but somebody should look at it.
        case warn
        /// It does not work.
        case fail

        fileprivate var colour: Style.Colour {
            switch self {
            case .ok: .green
            case .note: .blue
            case .warn: .yellow
            case .fail: .red
            }
        }
    }

    /// What was looked at.
    var subject: String
    /// How it is.
    var level: Level
    /// What was seen.
    var message: String
    /// What to do about it.
    var advice: String?
    /// The exit code of a failure.
    var status = ExitReason.success

    init(_ level: Level, _ subject: String, _ message: String, advice: String? = nil) {
        self.subject = SafeText.line(Credentials.masked(subject))
        self.level = level
        self.message = SafeText.lines(Credentials.masked(message))
        self.advice = advice.map { SafeText.line(Credentials.masked($0)) }
    }

    /// A check that an error ended.
    init(_ subject: String, failed error: any Error) {
        let diagnosis = Diagnosis(of: error)
        self.init(.fail, subject, diagnosis.message ?? "interrupted", advice: diagnosis.advice)
        status = diagnosis.status
    }

    /// The lines for people.
    func lines(style: Style) -> [String] {
        let word = level.rawValue + String(repeating: " ", count: 4 - level.rawValue.count)
        let indent = String(repeating: " ", count: 6)
        let text = "\(subject): \(message)".split(separator: "\n").joined(separator: "\n\(indent)")
        return [style.paint(word, level.colour) + "  " + text] + (advice.map { ["\(indent)→ \($0)"] } ?? [])
    }

    /// The check as a JSON object.
    var json: JSONValue {
        [
            "subject": .string(subject), "level": .string(level.rawValue), "message": .string(message),
            "advice": .optional(advice),
        ]
    }
}
