import Logging
import Sheaf
import SheafCore
import SheafDispatch
import SheafServer
import SheafTestSupport
import Testing

/// A server with the dispatcher `reviews` of the flow `echo`.
struct RequestBench: Sendable {
    static let dispatcher: Name = "reviews"

    let stage: Stage
    let server: ServerTestBench
    private let maxWaiting: Int?

    /// Runs a server for the body.
    static func with(
        _ kind: BrokerKind = .embedded,
        maxWaiting: Int? = nil,
        _ change: @escaping @Sendable (inout ServerOptions) -> Void = { _ in },
        _ body: @escaping @Sendable (RequestBench) async throws -> Void
    ) async throws {
        try await Stage.with(kind) { stage in
            try await stage.client { client in
                try await with(on: client, stage, maxWaiting: maxWaiting, change, body)
            }
        }
    }

    /// Runs a server on a connection.
    static func with(
        on client: SheafClient,
        _ stage: Stage,
        maxWaiting: Int? = nil,
        _ change: @escaping @Sendable (inout ServerOptions) -> Void = { _ in },
        _ body: @escaping @Sendable (RequestBench) async throws -> Void
    ) async throws {
        try await ServerTestBench.with(on: client) { options in
            options.dispatchers = [served(on: client, maxWaiting: maxWaiting)]
            change(&options)
        } _: { server in
            try await body(RequestBench(stage: stage, server: server, maxWaiting: maxWaiting))
        }
    }

    static func served(on client: SheafClient, maxWaiting: Int? = nil) -> ServedDispatcher {
        ServedDispatcher(name: dispatcher, flow: "echo", interval: .seconds(90)) {
            try await BrokerRequestQueue.open(
                client: client,
                name: dispatcher,
                configuration: BrokerRequestQueueConfiguration(maxWaiting: maxWaiting)
            )
        }
    }

    /// Sends requests to the dispatcher.
    func post(
        _ body: String,
        as type: String = "application/json",
        query: String = "",
        key: String? = nil,
        to name: String = dispatcher.text
    ) async throws -> RawResponse {
        var headers = ["Content-Type": type]
        if let key { headers["Idempotency-Key"] = key }
        return try await server.send("POST", "/api/requests/\(name)\(query)", headers, body: body)
    }

    func get(_ path: String) async throws -> RawResponse { try await server.send("GET", "/api/requests\(path)") }

    /// How many requests wait, as the server says.
    func waiting() async throws -> Int? {
        try await get("").json["dispatchers"]?.arrayValue?.first?["waiting"]?.intValue
    }

    /// Creates batches of all requests, as another process does.
    func dispatch() async throws -> [CreatedBatch] {
        try await stage.client { client in
            let queue = try await BrokerRequestQueue.open(client: client, name: Self.dispatcher)
            try await queue.flush()
            try await queue.update()
            let batches = try await Dispatcher(client: client, queue: queue, plan: BatchPlan(flow: "echo")).look()
            await queue.close()
            return batches
        }
    }
}
