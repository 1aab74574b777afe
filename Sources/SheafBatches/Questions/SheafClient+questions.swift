import SheafCore

extension SheafClient {
    /// The questions that wait for an answer, of one batch or of all that have not ended, oldest batch first.
    ///
    /// Throws `notFound` where there is no such batch, and `invalid` where it is not interactive.
    public func questions(of reference: String? = nil) async throws -> [OpenQuestion] {
        let journal = try await Journal.read(from: self)
        let records: [BatchInfo]
        if let reference {
            let record = try journal.find(reference)
            guard record.options.isInteractive else { throw Self.notInteractive(record.id) }
            records = [record]
        } else {
            records = journal.state.batches.filter(\.options.isInteractive)
        }
        var questions: [OpenQuestion] = []
        for record in records where record.ending == nil && record.cancelled == nil {
            let state = try await QuestionLog(client: self, batch: record.id).read().state
            questions += state.open.map { id, standing in
                OpenQuestion(
                    batch: record.id,
                    id: id,
                    question: standing.question,
                    worker: standing.worker,
                    askedAt: standing.askedAt
                )
            }
        }
        return questions
    }

    /// Answers the oldest open question of a task.
    ///
    /// - Parameters:
    ///   - task: The task as `batch:index`, the batch also as `last`.
    ///   - text: The answer; an empty one stands for the question's default.
    ///   - author: Who answers, for the log.
    /// - Returns: The question, and the answer that it has now.
    /// - Throws: `notFound` where there is no such task or it asks nothing, `invalid` where the question does not allow that
    ///   answer, `alreadyFinished` where it has one, which the message names, or where the batch has ended.
    public func answer(
        _ task: String,
        with text: String,
        by author: String
    ) async throws -> (question: OpenQuestion, answer: String) {
        let parts = task.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let index = Int(parts[1]), index >= 0 else {
            throw SheafError(
                .invalid,
                "'\(task)' names no task; 'sheaf questions' names those that wait, as BATCH:NUMBER"
            )
        }
        let record = try await Journal.read(from: self).find(String(parts[0]))
        guard record.options.isInteractive else { throw Self.notInteractive(record.id) }
        guard record.ending == nil, record.cancelled == nil else {
            throw SheafError(.alreadyFinished, "batch '\(record.id)' has ended; its tasks wait for no answer any more")
        }
        let log = QuestionLog(client: self, batch: record.id)
        let questions = try await log.read().state.questions(of: index)
        let name = "\(record.id):\(index)"
        guard let (id, standing) = questions.first(where: { $0.standing.isOpen }) else {
            guard let last = questions.last else {
                throw SheafError(.notFound, "task \(name) has asked nothing; 'sheaf questions' shows those that wait")
            }
            if let answer = last.standing.answer { throw Self.answered(name, answer) }
            throw SheafError(.notFound, "task \(name) does not wait for an answer any more")
        }
        let open = OpenQuestion(
            batch: record.id,
            id: id,
            question: standing.question,
            worker: standing.worker,
            askedAt: standing.askedAt
        )
        guard let answer = standing.question.answer(text) else {
            let choices = standing.question.choices
            let wanted = choices.isEmpty ? "an answer that is not empty" : "one of: \(choices.joined(separator: ", "))"
            throw SheafError(.invalid, "task \(name) takes no '\(text)'; it wants \(wanted)")
        }
        guard answer.utf8.count <= QuestionEntry.maximumSize else {
            throw SheafError(.invalid, "an answer has at most \(QuestionEntry.maximumSize) bytes")
        }
        // Told apart from the same answer by somebody else only by its author.
        let nonce = "\(author)#\(String(UInt64.random(in: .min ... .max), radix: 36))"
        let after = try await log.give(answer, to: id, by: nonce)
        guard let counted = after?.answer else {
            throw SheafError(.notFound, "task \(name) does not wait for an answer any more")
        }
        guard counted.by == nonce else { throw Self.answered(name, counted) }
        return (open, answer)
    }

    private static func answered(_ task: String, _ answer: (value: String, by: String, at: Timestamp)) -> SheafError {
        let author = answer.by.prefix { $0 != "#" }
        return SheafError(
            .alreadyFinished,
            "task \(task) was answered already, with '\(answer.value)' by \(author) at \(answer.at)"
        )
    }

    private static func notInteractive(_ batch: Name) -> SheafError {
        SheafError(
            .invalid,
            "batch '\(batch)' is not interactive; only one made with 'sheaf create --interactive' asks"
        )
    }
}
