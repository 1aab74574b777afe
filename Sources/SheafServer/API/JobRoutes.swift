import HTTPTypes
import Hummingbird
import NIOCore
import SheafBatches
import SheafCore
import SheafFormats
import SheafSettings

/// The routes that show the tasks of a batch.
struct JobRoutes {
    let tasks: TaskDirectory

    /// How the last part of a path names a task.
    enum Naming: String, CaseIterable {
        case index
        case recordID = "record_id"
    }

    static let pageSizes = 1...1000
    static let defaultPageSize = 100

    func register(on group: RouterGroup<ServerContext>) {
        group.get("batches/:batch/jobs") { try await list($0, $1) }
        group.get("batches/:batch/jobs/:job") { request, context in
            let batch = try context.parameter("batch")
            let (task, twins) = try await find(request, context)
            return Response.json(task.json(batch: try await tasks.name(of: batch), twins: twins))
        }
        group.get("batches/:batch/jobs/:job/record") { request, context in
            let (task, _) = try await find(request, context)
            guard let record = task.record else {
                throw Problem(.notFound, "the record of task \(task.row.index) is not kept: only failed tasks have it")
            }
            let batch = try await tasks.name(of: try context.parameter("batch"))
            return Response.download(record.bytes, record.kind, name: "\(batch)-\(task.row.index)-record")
        }
        group.get("batches/:batch/jobs/:job/output") { request, context in
            let (task, _) = try await find(request, context)
            guard let output = task.output else {
                throw Problem(.notFound, "task \(task.row.index) has no output: it is \(task.row.status.rawValue)")
            }
            let batch = try await tasks.name(of: try context.parameter("batch"))
            return Response.download(output, .json, name: "\(batch)-\(task.row.index)-output")
        }
    }

    private func list(_ request: Request, _ context: ServerContext) async throws -> Response {
        try context.require(.read)
        let values = try QueryValues(request, allowed: ["status", "error_type", "group", "q", "after", "limit"])
        var query = TaskQuery()
        query.statuses = try values.words("status", TaskRow.Status.self)
        query.errorType = values.text("error_type")
        query.group = values.text("group")
        query.text = values.text("q")
        let page = try await tasks.page(
            of: context.parameter("batch"),
            matching: query,
            after: try values.number("after", in: 0...BatchState.maximumTasks) ?? -1,
            limit: try values.number("limit", in: Self.pageSizes) ?? Self.defaultPageSize
        )
        return .json(page.json)
    }

    /// Finds a task by the index or the record's id in the path; digits are an index unless the query says otherwise.
    private func find(_ request: Request, _ context: ServerContext) async throws -> (TaskDetail, twins: [Int]) {
        try context.require(.read)
        let (batch, job) = (try context.parameter("batch"), try context.parameter("job"))
        let naming = try QueryValues(request, allowed: ["by"]).word("by", Naming.self)
        if naming != .recordID, let index = Int(job), String(index) == job {
            return (try await tasks.task(of: batch, index: index), [])
        }
        guard naming != .index else { throw HTTPError(.badRequest, message: "'\(job)' is not the index of a task") }
        let twins = try await tasks.indices(of: batch, record: job)
        guard let first = twins.first else {
            throw Problem(
                .notFound,
                "no task of batch '\(batch)' with record id '\(job)' has ended; a task that has not is found by its index"
            )
        }
        return (try await tasks.task(of: batch, index: first), twins)
    }
}

extension Response {
    /// Creates a response that a browser saves as a file.
    fileprivate static func download(_ bytes: [UInt8], _ kind: Record.Kind, name: String) -> Response {
        let ending =
            switch kind {
            case .json: "json"
            case .text: "txt"
            case .binary: "bin"
            }
        return Response(
            status: .ok,
            headers: [
                .contentType: kind.contentType, .contentLength: String(bytes.count),
                .contentDisposition: "attachment; filename=\"\(name).\(ending)\"", .xContentTypeOptions: "nosniff",
            ],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes))
        )
    }
}
