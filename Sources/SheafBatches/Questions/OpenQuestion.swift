public import SheafCore

/// A question that a task asks people.
public struct OpenQuestion: Sendable, Equatable {
    /// The batch.
    public var batch: Name
    /// Which question of which task.
    public var id: QuestionID
    /// The question.
    public var question: Question
    /// The worker that asked last.
    public var worker: String
    /// When it was asked last.
    public var askedAt: Timestamp

    /// Makes a question.
    public init(batch: Name, id: QuestionID, question: Question, worker: String, askedAt: Timestamp) {
        self.batch = batch
        self.id = id
        self.question = question
        self.worker = worker
        self.askedAt = askedAt
    }

    /// Names the task, as `sheaf answer` wants it.
    public var task: String { "\(batch):\(id.index)" }
}
