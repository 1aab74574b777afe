// The code between the two marks is quoted word for word in docs/dispatch.md.
// example: begin
import Sheaf

/// Adds a request to the queue of the dispatcher `reviews`, and waits for its answer.
func judge(_ text: String, as id: String, on client: SheafClient) async throws -> Outcome? {
    let queue = try await BrokerRequestQueue.open(client: client, name: "reviews")
    let answers = RequestAnswers(client: client, queue: queue)
    let request: JSONValue = ["text": .string(text)]
    try await queue.add([Record(id: id, kind: .json, bytes: request.bytes)])
    let answer = try await answers.wait(for: id, atMost: .seconds(60))
    await answers.close()
    await queue.close()
    return answer?.outcome
}
// example: end
