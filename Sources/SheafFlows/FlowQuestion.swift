/// What an interactive flow asks a person.
public struct FlowQuestion: Sendable, Equatable {
    /// The question, for people.
    public var text: String
    /// The answers to choose from; none means that any is taken.
    public var choices: [String]
    /// The answer that is taken where only Return is pressed.
    public var fallback: String?

    /// Makes a question.
    public init(_ text: String, choices: [String] = [], fallback: String? = nil) {
        self.text = text
        self.choices = choices
        self.fallback = fallback
    }
}

/// Brings a task's questions to people, and their answers back.
public protocol FlowAsker: Sendable {
    /// Waits for the answer to a question, as long as it takes.
    ///
    /// A task that is run again after its worker died asks the same questions in the same order; those that were
    /// answered return at once.
    func ask(_ question: FlowQuestion) async throws -> String
}
