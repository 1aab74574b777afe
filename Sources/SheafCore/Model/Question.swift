/// A question that a task asks users.
public struct Question: Sendable, Equatable {
    /// The text of the question.
    public var text: String
    /// The allowed answers; if empty, any answer is allowed.
    public var choices: [String]
    /// The answer that an empty input stands for.
    public var fallback: String?

    /// Creates a question.
    public init(_ text: String, choices: [String] = [], fallback: String? = nil) {
        self.text = text
        self.choices = choices
        self.fallback = fallback
    }

    /// Returns the answer that an input gives: itself, or the fallback if it is empty; nil if it is not allowed.
    public func answer(_ text: String) -> String? {
        let answer = text.isEmpty ? fallback ?? "" : text
        if choices.isEmpty { return text.isEmpty && fallback == nil ? nil : answer }
        return choices.contains(answer) ? answer : nil
    }
}

/// The identity of a question; it stays the same when the task runs again.
public struct QuestionID: Sendable, Hashable, Comparable {
    /// The task's index within its batch.
    public var index: Int
    /// The generation of the task.
    public var generation: Int
    /// The number of the question within the task, from 1.
    public var number: Int

    /// Creates an id.
    package init(index: Int, generation: Int, number: Int) {
        self.index = index
        self.generation = generation
        self.number = number
    }

    /// Orders by task, generation and number.
    public static func < (left: QuestionID, right: QuestionID) -> Bool {
        (left.index, left.generation, left.number) < (right.index, right.generation, right.number)
    }
}
