/// How one attempt at a task failed.
///
/// What is kept of it is bounded, since the errors of earlier attempts travel with the task: see ``bounded(_:)``.
public struct AttemptError: Sendable, Equatable {
    /// Which attempt it was, from 1.
    public var attempt: Int
    /// The kind, such as `exit-code`.
    public var type: String
    /// What happened, for people.
    public var message: String
    /// When the attempt ended.
    public var at: Timestamp
    /// The worker that made it.
    public var worker: String

    /// Makes an error; texts that are too long are cut.
    public init(attempt: Int, type: String, message: String, at: Timestamp, worker: String) {
        self.attempt = attempt
        self.type = Self.cut(type, to: Self.maximumWord)
        self.message = Self.cut(message, to: Self.maximumMessage)
        self.at = at
        self.worker = Self.cut(worker, to: Self.maximumWord)
    }

    /// The most errors that are kept of one task: the last ones.
    public static let maximumCount = 10
    /// The most bytes of a message.
    public static let maximumMessage = 300
    /// The most bytes of a type or a worker's name.
    private static let maximumWord = 100

    /// The last errors of a list, as many as are kept.
    public static func bounded(_ errors: [AttemptError]) -> [AttemptError] { errors.suffix(maximumCount) }

    private static func cut(_ text: String, to limit: Int) -> String {
        guard text.utf8.count > limit else { return text }
        var end = text.utf8.index(text.startIndex, offsetBy: limit)
        while end > text.startIndex, end.samePosition(in: text.unicodeScalars) == nil {
            end = text.utf8.index(before: end)
        }
        return String(text.unicodeScalars[..<end]) + "…"
    }
}
