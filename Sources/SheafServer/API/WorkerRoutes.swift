import Hummingbird
import SheafBatches
import SheafCore
import SheafFormats
import SheafSettings

/// The routes that show workers, flows, and how many workers are needed.
struct WorkerRoutes {
    let directory: BatchDirectory
    /// The flows of the server's own configuration.
    let flows: [FlowSettings]

    /// How many tasks are listed for each batch of a worker; the count is always complete.
    static let listedTasks = 100

    func register(on group: RouterGroup<ServerContext>) {
        group.get("workers", use: workers)
        group.get("flows", use: listFlows)
        group.get("scaling", use: scaling)
    }

    // MARK: Workers

    @Sendable
    private func workers(_ request: Request, _ context: ServerContext) throws -> Response {
        try context.require(.read)
        _ = try QueryValues(request, allowed: [])
        return .json(["workers": .array(directory.workers.map(json))])
    }

    private func json(_ worker: LiveWorker) -> JSONValue {
        let batches = worker.batches.map { batch -> JSONValue in
            let tasks = worker.running[batch] ?? [:]
            let first = tasks.sorted { ($0.value, $0.key) < ($1.value, $1.key) }.prefix(Self.listedTasks)
            return [
                "batch_id": .string(batch.text),
                "flow": .optional((try? directory.summary(of: batch.text))?.info.flow.text),
                "running": .integer(worker.runningCount(of: batch)), "waiting": .integer(worker.waiting[batch] ?? 0),
                "limited": worker.limited[batch]?.json ?? .null,
                "tasks": .array(
                    first.map { ["index": .integer($0.key), "since": .string($0.value.description)] }
                ),
            ]
        }
        return [
            "worker": .string(worker.name), "host": .optional(worker.host),
            "slots": worker.slots.map { .integer($0) } ?? .null, "busy": .integer(worker.busy),
            "flows": .array(worker.flows.map { .string($0.text) }), "since": .string(worker.since.description),
            "seen_at": .string(worker.seenAt.description), "batches": .array(batches),
        ]
    }

    // MARK: Flows

    @Sendable
    private func listFlows(_ request: Request, _ context: ServerContext) throws -> Response {
        try context.require(.read)
        _ = try QueryValues(request, allowed: [])
        let workers = directory.workers
        let open = directory.snapshot.filter { $0.info.ending == nil }
        let own = Dictionary(flows.map { ($0.name, $0.kind) }) { $1 }
        let names = Set(own.keys).union(workers.flatMap(\.flows)).union(open.map(\.info.flow))
        let list = names.sorted().map { name -> JSONValue in
            [
                "flow": .string(name.text), "kind": .optional(own[name]), "configured": .bool(own[name] != nil),
                "workers": .integer(workers.count { $0.flows.contains(name) }),
                "open_batches": .integer(open.count { $0.info.flow == name }),
            ]
        }
        return .json(["flows": .array(list)])
    }

    // MARK: Scaling

    @Sendable
    private func scaling(_ request: Request, _ context: ServerContext) throws -> Response {
        try context.require(.read)
        let wanted = try QueryValues(request, allowed: ["flow"]).texts("flow")
        let batches = directory.snapshot
        let all = flows.map(\.name.text) + batches.lazy.filter { $0.info.ending == nil }.map(\.info.flow.text)
        return .json(FlowLoad.json(of: wanted.isEmpty ? all : wanted, in: batches, at: .now))
    }
}
