import SheafBatches
public import SheafCore

/// A person whom a worker can ask directly, such as the one at its terminal.
public protocol QuestionPrompt: Sendable {
    /// Asks and waits for an answer to a question of a task; nil where there will be none.
    ///
    /// Ends with `CancellationError` where the answer came from elsewhere meanwhile. Never called twice at a time.
    func ask(_ question: Question, of task: String) async throws -> String?
}

/// Lets one question after the other come to a person.
actor PromptQueue {
    private let prompt: any QuestionPrompt
    private var isBusy = false
    private let freed = Changes()

    init(_ prompt: any QuestionPrompt) { self.prompt = prompt }

    func ask(_ question: Question, of task: String) async throws -> String? {
        for await _ in freed.stream() where !isBusy { break }
        try Task.checkCancellation()
        // Nobody can have come in between: there was nothing to wait for since.
        isBusy = true
        defer {
            isBusy = false
            freed.notify()
        }
        return try await prompt.ask(question, of: task)
    }
}
