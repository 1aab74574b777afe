import Hummingbird
import SheafBatches
import SheafCore
import SheafFormats
import SheafSettings

/// The routes that list submissions to providers' batch APIs, show one, and decide about one.
struct SubmissionRoutes {
    let client: SheafClient
    let directory: BatchDirectory

    func register(on group: RouterGroup<ServerContext>) {
        group.get("batches/:batch/submissions", use: listOfBatch)
        group.get("submissions", use: list)
        group.get("submissions/:submission", use: show)
        group.post("submissions/:submission/cancel", use: cancel)
        group.post("submissions/:submission/resolve", use: resolve)
    }

    @Sendable
    private func listOfBatch(_ request: Request, _ context: ServerContext) async throws -> Response {
        try context.require(.read)
        _ = try QueryValues(request, allowed: [])
        let submissions = try await directory.submissions(of: context.parameter("batch"))
        return .json(["submissions": .array(submissions.map(\.json))])
    }

    @Sendable
    private func list(_ request: Request, _ context: ServerContext) async throws -> Response {
        try context.require(.read)
        _ = try QueryValues(request, allowed: [])
        return .json(["submissions": .array(try await client.submissions().map(\.json))])
    }

    @Sendable
    private func show(_ request: Request, _ context: ServerContext) async throws -> Response {
        try context.require(.read)
        _ = try QueryValues(request, allowed: [])
        return .json(try await client.submission(context.parameter("submission")).json)
    }

    @Sendable
    private func cancel(_ request: Request, _ context: ServerContext) async throws -> Response {
        try context.require(.write)
        _ = try QueryValues(request, allowed: [])
        let members = try await RequestMembers(request, knowing: ["by"])
        let submission = try await client.cancelSubmission(
            context.parameter("submission"),
            by: try author(members, context)
        )
        return .json(submission.json)
    }

    @Sendable
    private func resolve(_ request: Request, _ context: ServerContext) async throws -> Response {
        try context.require(.write)
        _ = try QueryValues(request, allowed: [])
        let members = try await RequestMembers(request, knowing: ["id", "not_created", "by"])
        let (id, isNotCreated) = (try members.text("id"), try members.flag("not_created"))
        if (id != nil) == isNotCreated {
            throw Problem(.usage, "give either 'id' with the provider's id, or 'not_created' as true")
        }
        let submission = try await client.resolveSubmission(
            context.parameter("submission"),
            as: id.map { .created($0) } ?? .notCreated,
            by: try author(members, context)
        )
        return .json(submission.json)
    }

    private func author(_ members: RequestMembers, _ context: ServerContext) throws -> String {
        try members.text("by") ?? context.callerName ?? "http"
    }
}
