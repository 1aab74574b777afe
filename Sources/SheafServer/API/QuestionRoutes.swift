import Hummingbird
import SheafBatches
import SheafCore
import SheafFormats
import SheafSettings

/// The routes that list open questions and answer them.
struct QuestionRoutes {
    let client: SheafClient
    let directory: BatchDirectory

    func register(on group: RouterGroup<ServerContext>) {
        group.get("questions", use: list)
        group.post("questions/:task", use: answer)
    }

    @Sendable
    private func list(_ request: Request, _ context: ServerContext) async throws -> Response {
        try context.require(.read)
        let batch = try QueryValues(request, allowed: ["batch"]).text("batch")
        return .json(["questions": .array(try await directory.questions(of: batch).map(\.json))])
    }

    @Sendable
    private func answer(_ request: Request, _ context: ServerContext) async throws -> Response {
        try context.require(.write)
        _ = try QueryValues(request, allowed: [])
        let members = try await RequestMembers(request, knowing: ["answer", "by", "number"])
        guard let text = try members.text("answer") else {
            throw Problem(.usage, "member 'answer' is missing; an empty string stands for the question's default")
        }
        let number = members["number"]?.intValue
        if number == nil, let value = members["number"], value != .null {
            throw Problem(.usage, "member 'number' must be the number of the question, as an integer")
        }
        let (question, answer) = try await client.answer(
            context.parameter("task"),
            with: text,
            by: try members.text("by") ?? context.callerName ?? "http",
            number: number
        )
        return .json(question.json.adding(["answer": .string(answer)]))
    }
}
