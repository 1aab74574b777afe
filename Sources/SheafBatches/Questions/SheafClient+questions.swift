import SheafBroker
public import SheafCore

extension SheafClient {
    /// The open questions of one batch, or of all batches that have not ended, oldest batch first.
    ///
    /// - Throws: ``SheafError`` with `notFound` if the batch does not exist, and `notNow` if it is not interactive.
    public func questions(of reference: String? = nil) async throws -> [OpenQuestion] {
        let journal = try await Journal.read(from: self)
        return try await FoldFollowers(client: self, journal: journal).openQuestions(of: reference)
    }

    /// Answers the oldest open question of a task.
    ///
    /// - Parameters:
    ///   - task: The task as `batch:index`, the batch also as `last`.
    ///   - text: The answer; an empty one stands for the question's default.
    ///   - author: The name of the person or program that answers, for the log.
    ///   - number: The number of the question that is meant, so that the answer never counts for the next one of the
    ///     task; nil for the oldest one.
    /// - Returns: The question, and the answer that was recorded.
    /// - Throws: ``SheafError`` with `notFound` if the task does not exist or has no open question, `invalid` if the
    ///   question does not allow the answer, `alreadyFinished` if it has an answer or the batch has ended.
    public func answer(
        _ task: String,
        with text: String,
        by author: String,
        number: Int? = nil
    ) async throws -> (question: OpenQuestion, answer: String) {
        let parts = task.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let index = Int(parts[1]), index >= 0 else {
            throw SheafError(
                .invalid,
                "invalid task '\(task)': expected BATCH:NUMBER",
                advice: .listQuestions
            )
        }
        let journal = try await Journal.read(from: self)
        let batch = try journal.find(String(parts[0]))
        guard batch.options.isInteractive else { throw Self.notInteractive(batch.id) }
        guard batch.mayAsk else {
            throw SheafError(.alreadyFinished, "batch '\(batch.id)' has ended; its tasks no longer wait for answers")
        }
        let follower = FoldFollower(client: self, journal: journal, batch: batch.id)
        let state = try await Self.state(follower)
        let name = "\(batch.id):\(index)"
        if state.isSettled(index) {
            throw SheafError(.alreadyFinished, "task \(name) has ended; it no longer waits for an answer")
        }
        let (oldest, last) = state.questions.questions(of: index)
        guard let oldest else {
            if let answer = last?.answer { throw Self.answered(name, answer) }
            if last != nil { throw SheafError(.notFound, "task \(name) no longer waits for an answer") }
            throw SheafError(.notFound, "task \(name) has not asked a question", advice: .listQuestions)
        }
        let open = OpenQuestion(batch: batch.id, oldest)
        if let number, number != open.id.number {
            throw SheafError(.alreadyFinished, "task \(name) now waits for the answer to question \(open.id.number)")
        }
        guard let answer = open.question.answer(text) else {
            let choices = open.question.choices
            let wanted = choices.isEmpty ? "an answer that is not empty" : "one of: \(choices.joined(separator: ", "))"
            throw SheafError(.invalid, "invalid answer '\(text)' for task \(name): expected \(wanted)")
        }
        // Distinguishes this answer from an equal one that another author gives at the same time.
        let nonce = "\(author)#\(String(UInt64.random(in: .min ... .max), radix: 36))"
        let entry = QuestionEntry(id: open.id, at: .now, by: nonce, event: .answered(answer))
        let size = entry.message(batch: batch.id).body.count
        guard size <= QuestionEntry.maximumSize else {
            throw SheafError(
                .invalid,
                "the answer for task \(name) has \(size) bytes as JSON; the limit is \(QuestionEntry.maximumSize) bytes"
            )
        }
        guard let counted = try await follower.give(entry) else {
            throw SheafError(.notFound, "task \(name) no longer waits for an answer")
        }
        guard counted.by == nonce else { throw Self.answered(name, counted) }
        return (open, answer)
    }

    /// The present state of a batch; an empty one if its log is gone.
    fileprivate static func state(_ follower: FoldFollower) async throws -> BatchState {
        do {
            return try await retrying(for: .seconds(15)) { try await follower.catchUp() }
        } catch let error as BrokerError where error.code == .notFound || error.code == .queueGone {
            return BatchState()
        }
    }

    private static func answered(_ task: String, _ answer: QuestionState.Answer) -> SheafError {
        let author = answer.by.prefix { $0 != "#" }
        return SheafError(
            .alreadyFinished,
            "task \(task) already has the answer '\(answer.value)' by \(author) at \(answer.at)"
        )
    }

    fileprivate static func notInteractive(_ batch: Name) -> SheafError {
        SheafError(
            .notNow,
            "batch '\(batch)' is not interactive, so its tasks ask no questions",
            advice: .createInteractive
        )
    }
}

extension FoldFollowers {
    /// The open questions of one batch, or of all batches that have not ended, oldest batch first.
    ///
    /// - Throws: ``SheafError`` with `notFound` if the batch does not exist, and `notNow` if it is not interactive.
    func openQuestions(of reference: String?) async throws -> [OpenQuestion] {
        let batches: [BatchInfo]
        if let reference {
            let batch = try journal.find(reference)
            guard batch.options.isInteractive else { throw SheafClient.notInteractive(batch.id) }
            batches = [batch]
        } else {
            batches = journal.state.batches.filter(\.options.isInteractive)
        }
        var questions: [OpenQuestion] = []
        for batch in batches where batch.mayAsk {
            questions += try await SheafClient.state(self[batch.id]).questions.open.map {
                OpenQuestion(batch: batch.id, $0)
            }
        }
        return questions
    }
}

/// A question of a task that waits for an answer.
public struct OpenQuestion: Sendable, Equatable {
    /// The batch.
    public var batch: Name
    /// The id of the question, which includes the number of the task.
    public var id: QuestionID
    /// The question.
    public var question: Question
    /// The worker that asked most recently.
    public var worker: String
    /// When it was asked most recently.
    public var askedAt: Timestamp

    /// Creates an open question.
    package init(batch: Name, id: QuestionID, question: Question, worker: String, askedAt: Timestamp) {
        self.batch = batch
        self.id = id
        self.question = question
        self.worker = worker
        self.askedAt = askedAt
    }

    init(batch: Name, _ open: QuestionState.Open) {
        let (id, question, worker, time) = open
        self.init(batch: batch, id: id, question: question, worker: worker, askedAt: time)
    }

    /// The id of the task, as `batch:index`.
    public var task: String { "\(batch):\(id.index)" }
}
