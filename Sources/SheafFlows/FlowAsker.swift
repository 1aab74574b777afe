public import SheafCore

/// Brings a task's questions to people, and their answers back.
public protocol FlowAsker: Sendable {
    /// Waits for the answer to a question, as long as it takes.
    ///
    /// A task that is run again after its worker died asks the same questions in the same order; those that were
    /// answered return at once.
    func ask(_ question: Question) async throws -> String
}
