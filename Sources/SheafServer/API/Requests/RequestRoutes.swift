import Foundation
import HTTPTypes
import Hummingbird
import OrderedCollections
import ServiceLifecycle
import SheafBatches
import SheafCore
import SheafDispatch
import SheafFormats
import SheafSettings
import SheafSources

/// The routes that add requests to the queues of dispatchers and show what became of them.
struct RequestRoutes: Sendable {
    let desk: RequestDesk

    /// How long a request for an answer may wait, in seconds.
    static let waits = 0...60
    /// How long the broker may take.
    private static let patience = Duration.seconds(10)
    /// How long a search in old batches may take.
    private static let searchTime = Duration.seconds(30)

    func register(on group: RouterGroup<ServerContext>) {
        group.get("requests", use: list)
        group.post("requests/:name", use: add)
        group.get("requests/:name", use: find)
        group.get("requests/:name/:id", use: show)
    }

    @Sendable
    private func list(_ request: Request, _ context: ServerContext) async throws -> Response {
        try context.require(.read)
        _ = try QueryValues(request, allowed: [])
        var all: [JSONValue] = []
        for dispatcher in desk.dispatchers {
            let waiting = try await Self.limited { try await desk.counter(of: dispatcher).queue.waiting() }
            all.append(waiting.json(name: dispatcher.name, flow: dispatcher.flow))
        }
        return .json(["dispatchers": .array(all)])
    }

    // MARK: Adding

    @Sendable
    private func add(_ request: Request, _ context: ServerContext) async throws -> Response {
        try context.require(.write)
        let values = try QueryValues(request, allowed: ["format", "id_field"])
        let format = try values.word("format", SourceFormat.self)
        if format == .files { throw HTTPError(.badRequest, message: "format must not be 'files': a body has no files") }
        let key = try IdempotencyKey(request.headers)
        let dispatcher = try dispatcher(named: try context.parameter("name"))
        var sent = try await SentRequests.read(request, format: format, idField: values.text("id_field"))
        let isNamed = try sent.assignIDs(of: dispatcher.name, key: key)
        let isRepeat: Bool
        do {
            isRepeat = try await Self.limited { [sent] in
                try await desk.counter(of: dispatcher).collector.add(sent.records, isNamed: isNamed)
            }
        } catch let conflict as RequestConflict {
            throw Self.refusal(of: conflict, isKeyed: key != nil)
        } catch let error as RequestQueueError where error.code == .full {
            throw HTTPError(
                .tooManyRequests,
                headers: [.retryAfter: String(dispatcher.retrySeconds)],
                message: error.message
            )
        }
        return Self.response(to: sent, for: dispatcher.name, isRepeat: isRepeat, prefix: context.prefix)
    }

    private static func refusal(of conflict: RequestConflict, isKeyed: Bool) -> HTTPError {
        if isKeyed {
            return HTTPError(
                .unprocessableContent,
                message: "an earlier request with the same Idempotency-Key has other content; send another key"
            )
        }
        return HTTPError(
            .conflict,
            message: "an earlier request with the id '\(conflict.id)' has other content; nothing was added"
        )
    }

    private static func response(
        to sent: SentRequests,
        for dispatcher: Name,
        isRepeat: Bool,
        prefix: String
    ) -> Response {
        var headers: HTTPFields = [:]
        var members: OrderedDictionary<String, JSONValue> = ["name": .string(dispatcher.text)]
        if sent.isOne {
            let id = sent.records[0].id
            members["id"] = .string(id)
            headers[.location] = "\(prefix)/api/requests/\(dispatcher)/\(id.asPathPart)"
        }
        members["ids"] = .array(sent.records.map { .string($0.id) })
        if isRepeat, let name = HTTPField.Name("Idempotency-Replayed") { headers[name] = "true" }
        return .json(.object(members), status: .accepted, headers: headers)
    }

    private func dispatcher(named name: String) throws -> ServedDispatcher {
        if let known = desk.dispatchers.first(where: { $0.name.text == name }) { return known }
        let names = desk.dispatchers.map(\.name.text)
        let shown = String(name.prefix(80))
        throw Problem(
            .notFound,
            "unknown dispatcher '\(shown)'; the server's dispatchers: "
                + (names.isEmpty ? "none" : names.joined(separator: ", ")) + Suggestion.text(for: shown, among: names)
        )
    }

    // MARK: Answers

    /// Shows a request of a dispatcher.
    @Sendable
    private func show(_ request: Request, _ context: ServerContext) async throws -> Response {
        try context.require(.read)
        let wait = try Self.wait(of: request)
        let dispatcher = try dispatcher(named: try context.parameter("name"))
        return try await answer(to: try context.parameter("id"), among: [dispatcher], wait, request)
    }

    /// Shows a request of any dispatcher; the ids that Sheaf makes begin with the name of theirs.
    @Sendable
    private func find(_ request: Request, _ context: ServerContext) async throws -> Response {
        try context.require(.read)
        let wait = try Self.wait(of: request)
        let id = try context.parameter("name")
        let first = desk.dispatchers.filter { id.hasPrefix("\($0.name).") }
        let others = desk.dispatchers.filter { !id.hasPrefix("\($0.name).") }
        return try await answer(to: id, among: first + others, wait, request)
    }

    private static func wait(of request: Request) throws -> Duration {
        .seconds(try QueryValues(request, allowed: ["wait"]).number("wait", in: waits) ?? 0)
    }

    private func answer(
        to id: String,
        among dispatchers: [ServedDispatcher],
        _ wait: Duration,
        _ request: Request
    ) async throws -> Response {
        for dispatcher in dispatchers {
            do {
                let answers = try await Self.limited { try await desk.counter(of: dispatcher).answers }
                guard let present = try await Self.limited(Self.searchTime, { try await answers.find(id) }) else {
                    continue
                }
                if present.isFinal || wait == .zero { return .json(present.json(id: id)) }
                let answer = try await Self.waiting(for: id, wait, answers, request) ?? present
                return .json(answer.json(id: id))
            } catch let error as RequestQueueError where error.code == .busy {
                throw HTTPError(.serviceUnavailable, headers: [.retryAfter: "2"], message: error.message)
            }
        }
        throw Problem(
            .notFound,
            "there is no request '\(id.prefix(RequestID.maximumSize))' in the queues, and none in the newest batches"
        )
    }

    /// Waits for an answer until the time is over, the client leaves or the server ends.
    private static func waiting(
        for id: String,
        _ wait: Duration,
        _ answers: RequestAnswers,
        _ request: Request
    ) async throws -> RequestAnswer? {
        do {
            return try await request.body.consumeWithCancellationOnInboundClose { _ in
                try await cancelWhenGracefulShutdown { try await answers.wait(for: id, atMost: wait) }
            }
        } catch is CancellationError {
            return nil
        }
    }

    /// Runs an operation of the broker; if that is away, the answer is 503 soon.
    private static func limited<Result: Sendable>(
        _ limit: Duration = patience,
        _ operation: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        do {
            return try await withTimeLimit(limit, "") { try await operation() }
        } catch let error as SheafError where error.code == .timedOut {
            throw Problem(
                .unreachable,
                "the broker has not answered within \(limit.components.seconds) s; if requests were sent, they may have been "
                    + "added, and can be sent again with the same ids",
                advice: .examineBroker
            )
        }
    }
}

extension ServedDispatcher {
    /// After how many seconds a full queue may have space again.
    fileprivate var retrySeconds: Int { min(max(1, Int(interval.components.seconds)), 60) }
}

extension String {
    /// The text as a part of a path.
    fileprivate var asPathPart: String {
        let plain = CharacterSet(charactersIn: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
        return addingPercentEncoding(withAllowedCharacters: plain) ?? self
    }
}
