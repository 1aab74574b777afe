import SheafBatches
public import SheafCore

/// The result of one request: a response or an error.
public struct BatchResult: Sendable, Equatable {
    /// The id of the request.
    public var id: String
    /// The number of the request within its batch, from 0.
    public var index: Int
    /// How it ended.
    public var status: Outcome.Status
    /// The text of the model's answer; nil if there is none, as may be with tool calls, embeddings and errors.
    public var response: String?
    /// Everything that the flow returned; nil if the request did not succeed.
    ///
    /// From a chat model: `content`, `tool_calls`, `finish_reason`, `model` and `usage`.
    public var output: JSONValue?
    /// Why the request failed; nil if it succeeded.
    public var error: Outcome.Failure?
    /// The tokens that it took, such as `input_tokens`; empty if it did not succeed.
    public var usage: Usage
    /// The number of attempts.
    public var attempts: Int

    init(_ outcome: Outcome) {
        id = outcome.recordID
        index = outcome.index
        status = outcome.status
        output = outcome.output.flatMap { try? JSON.parse($0) }
        response = output?["content"]?.stringValue ?? output?.stringValue
        error = outcome.error
        usage = outcome.usage
        attempts = outcome.attempts
    }

    /// The embedding; nil if the output has none.
    public var embedding: [Double]? { output?["embedding"]?.arrayValue.map { $0.compactMap(\.doubleValue) } }
}

extension SheafClient {
    /// Returns the results of a batch in the order of its requests, one for each that has ended.
    func batchResults(of batch: Name) async throws -> [BatchResult] {
        var results: [BatchResult] = []
        for try await outcomes in try await self.results(of: batch.text, ordered: true) {
            results += outcomes.map { BatchResult($0) }
        }
        return results
    }
}
