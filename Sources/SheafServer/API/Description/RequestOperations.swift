import HTTPTypes
import SheafCore
import SheafDispatch
import SheafSources

// What the description of the API says about requests to dispatchers.

extension RequestRoutes {
    private static let dispatcher = Operation.Parameter.path("name", .shape(.name), "The dispatcher.")
    private static let wait = Operation.Parameter.query(
        "wait",
        Schema.integer(waits).otherwise(0),
        "So many seconds to wait at most until the task of the request has ended."
    )
    private static let found = [
        Operation.Answer.json("The request; its state after `wait` seconds may be an earlier one.", .shape(.request))
    ]

    static let operations = [
        Operation(
            method: .get,
            path: "/api/requests",
            id: "listDispatchers",
            summary: "Lists the dispatchers and how many requests wait for each",
            tag: "Requests",
            answers: [.json("The dispatchers.", .object(["dispatchers": .list(of: .shape(.dispatcher))]))]
        ),
        Operation(
            method: .post,
            path: "/api/requests/{name}",
            id: "addRequests",
            summary: "Adds one or more requests to the queue of a dispatcher",
            tag: "Requests",
            about: """
                The answer comes when the queue has stored the requests: all of them, or none if one is refused. A \
                request has its id from the field `id` or `record_id`, or gets a new one. A repeat of a recent request \
                with the same id and content adds nothing and gets the same answer.
                """,
            parameters: [
                dispatcher,
                .query(
                    "format",
                    Schema.words(SourceFormat.allCases.filter { $0 != .files }.map(\.rawValue)).optional,
                    "How the body is split into requests, whatever its type."
                ),
                .query("id_field", Schema.string.optional, "The field that holds the id of a request."),
                .header(
                    "Idempotency-Key",
                    Schema.string(matching: "^[\\x20-\\x7e]{1,255}$"),
                    "Makes one request without an id safe to repeat: its id is derived from the key."
                ),
            ],
            input: Operation.Input(
                content: [
                    "application/json": .anyOf([
                        Schema.map(of: .any).about("One request."),
                        Schema.list(of: .any).with("minItems", 1).with("maxItems", .integer(SentRequests.maximumCount))
                            .about("Requests."),
                    ]),
                    "application/jsonl": lines("One request per line."),
                    "application/x-ndjson": lines("One request per line."),
                    "application/x-jsonlines": lines("One request per line."),
                    "text/csv": lines("A header, and one request per row."),
                    "text/tab-separated-values": lines("A header, and one request per row."),
                    "text/plain": lines("One request per line."),
                ],
                about: "Up to 8 MiB and \(SentRequests.maximumCount) requests."
            ),
            answers: [
                .json(
                    "The requests are stored.",
                    .shape(.addedRequests),
                    status: 202,
                    headers: [
                        "Location": Schema.string.with("format", "uri-reference").optional
                            .about("The path of the request, if the body is one object."),
                        "Idempotency-Replayed": Schema.constant("true").optional
                            .about("All requests were added before."),
                    ]
                )
            ],
            problems: [404, 409, 413, 415, 422, 429]
        ),
        Operation(
            method: .get,
            path: "/api/requests/{name}",
            id: "findRequest",
            summary: "Shows what became of a request of any dispatcher",
            tag: "Requests",
            about: "A search in all dispatchers; the ids that the server makes begin with the name of theirs.",
            parameters: [.path("name", .string, "The id of the request."), wait],
            answers: found,
            problems: [404]
        ),
        Operation(
            method: .get,
            path: "/api/requests/{name}/{id}",
            id: "getRequest",
            summary: "Shows what became of a request, with the output of its task",
            tag: "Requests",
            parameters: [dispatcher, .path("id", .string, "The id of the request."), wait],
            answers: found,
            problems: [404]
        ),
    ]

    private static func lines(_ about: String) -> Schema { Schema.string.about(about) }
}

extension Shape {
    static let dispatcherSchema = Schema.object([
        "name": .shape(.name),
        "flow": .shape(.name),
        "waiting": .integer().about("The requests that wait for a batch."),
        "bytes": .integer().about("Their size."),
        "oldest": .time.orNull.about("When the oldest of them was added."),
    ])

    static let addedRequestsSchema = Schema.object([
        "name": .shape(.name),
        "id": .string.optional.about("The id of the request, if the body is one object."),
        "ids": .list(of: .string).about("The ids of all requests, in order."),
    ])

    static let requestSchema = Schema.object([
        "id": .string,
        "state": Schema.words(["waiting", "dispatched"] + Outcome.Status.allCases.map(\.rawValue))
            .about("`waiting` for a batch, `dispatched` in one, or how its task has ended."),
        "batch_id": .shape(.name).orNull,
        "index": .integer().orNull.about("The task, once it has ended."),
        "output": Schema.any.about("The output of a task that has succeeded."),
        "error": .shape(.failure).orNull,
    ])
}
