/// What a task asks people.
public struct Question: Sendable, Equatable {
    /// The question.
    public var text: String
    /// The answers to choose from; none means that any is taken.
    public var choices: [String]
    /// The answer that an empty one stands for.
    public var fallback: String?

    /// Makes a question.
    public init(_ text: String, choices: [String] = [], fallback: String? = nil) {
        self.text = text
        self.choices = choices
        self.fallback = fallback
    }

    /// The answer that a text gives: itself, or what an empty one stands for; nil where it answers nothing.
    public func answer(_ text: String) -> String? {
        let answer = text.isEmpty ? fallback ?? "" : text
        if choices.isEmpty { return text.isEmpty && fallback == nil ? nil : answer }
        return choices.contains(answer) ? answer : nil
    }
}

/// Which question is meant: the same one when its task is run again.
public struct QuestionID: Sendable, Hashable, Comparable {
    /// The task's number within its batch.
    public var index: Int
    /// The generation of the task.
    public var generation: Int
    /// Which question of the task, from 1.
    public var number: Int

    /// Makes an id.
    public init(index: Int, generation: Int, number: Int) {
        self.index = index
        self.generation = generation
        self.number = number
    }

    /// Orders by task, generation and number.
    public static func < (left: QuestionID, right: QuestionID) -> Bool {
        (left.index, left.generation, left.number) < (right.index, right.generation, right.number)
    }
}
