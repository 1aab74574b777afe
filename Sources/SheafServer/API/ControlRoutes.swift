import HTTPTypes
import Hummingbird
import SheafBatches
import SheafCore
import SheafFormats
import SheafSettings
import SheafTelemetry

/// The routes that change a batch.
///
/// Each may be repeated after an interruption, and then completes what was left.
struct ControlRoutes {
    let client: SheafClient
    let directory: BatchDirectory
    let tasks: TaskDirectory
    let traces: BatchTraces

    func register(on group: RouterGroup<ServerContext>) {
        group.delete("batches/:batch", use: cancel)
        group.post("batches/:batch/cancel", use: cancel)
        group.post("batches/:batch/pause", use: pause)
        group.post("batches/:batch/resume", use: resume)
        group.post("batches/:batch/retry", use: retry)
        group.patch("batches/:batch", use: change)
        group.delete("batches/:batch/data", use: delete)
    }

    @Sendable
    private func cancel(_ request: Request, _ context: ServerContext) async throws -> Response {
        try context.require(.write)
        let now = try QueryValues(request, allowed: ["now"]).flag("now")
        return await answer(try await client.cancel(context.parameter("batch"), now: now).json)
    }

    @Sendable
    private func pause(_ request: Request, _ context: ServerContext) async throws -> Response {
        try context.require(.write)
        _ = try QueryValues(request, allowed: [])
        return await answer(try await client.pause(context.parameter("batch")).json)
    }

    @Sendable
    private func resume(_ request: Request, _ context: ServerContext) async throws -> Response {
        try context.require(.write)
        _ = try QueryValues(request, allowed: [])
        return await answer(try await client.resume(context.parameter("batch")).json)
    }

    @Sendable
    private func retry(_ request: Request, _ context: ServerContext) async throws -> Response {
        try context.require(.write)
        _ = try QueryValues(request, allowed: [])
        // The id, because another batch may be the last one by the time of the retry.
        let batch = try directory.summary(of: context.parameter("batch")).info
        let selection = try await RetrySelection(request)
        let report = try await traces.recordingRetry(of: batch, after: request.trace) { trace in
            if case .missing(let isForced) = selection {
                return try await client.retryMissing(batch.id.text, isForced: isForced, trace: trace)
            }
            let wanted = try await selection.indexes(of: batch.id.text, tasks)
            return try await client.retry(batch.id.text, only: wanted, trace: trace)
        }
        return await answer(report.json, status: .accepted)
    }

    @Sendable
    private func change(_ request: Request, _ context: ServerContext) async throws -> Response {
        try context.require(.write)
        _ = try QueryValues(request, allowed: [])
        let members = try await RequestMembers(request, knowing: ["max_running", "concurrency"])
        guard let value = members["max_running"] ?? members["concurrency"] else {
            throw Problem(.usage, "the body changes nothing; give max_running as an integer, or null for no limit")
        }
        if members["max_running"] != nil, members["concurrency"] != nil {
            throw Problem(.usage, "max_running and concurrency are the same member; give one of them")
        }
        let limit = value.intValue
        if limit == nil, value != .null {
            throw Problem(.usage, "max_running must be an integer, or null for no limit")
        }
        return await answer(try await client.setMaxRunning(limit, of: context.parameter("batch")).jsonInFull)
    }

    @Sendable
    private func delete(_ request: Request, _ context: ServerContext) async throws -> Response {
        try context.require(.write)
        let force = try QueryValues(request, allowed: ["force"]).flag("force")
        return await answer(try await client.delete(context.parameter("batch"), force: force).json)
    }

    /// Answers once this server shows the change too, so that the client's next request sees it.
    private func answer(_ json: JSONValue, status: HTTPResponse.Status = .ok) async -> Response {
        // The change is made, whatever happens to the connection now.
        try? await directory.catchUp()
        return .json(json, status: status)
    }
}
