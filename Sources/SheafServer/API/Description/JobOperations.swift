import HTTPTypes
import SheafBatches
import SheafCore
import SheafFormats

// What the description of the API says about tasks, errors, results and events.

extension JobRoutes {
    private static let job: [Operation.Parameter] = [
        .batch,
        .path(
            "job",
            .anyOf([.integer(0...BatchState.maximumTasks), .string(length: 1...1024)]),
            "The index of a task, or the id of its record. Digits are an index."
        ),
        .query("by", .word(Naming.self), "What `job` is, if it could be both."),
    ]

    static let operations = [
        Operation(
            method: .get,
            path: "/api/batches/{batch}/jobs",
            id: "listJobs",
            summary: "Lists tasks in the order of their indexes",
            tag: "Tasks",
            about: "The server looks at a limited number of tasks, so a page may be short and `next` not null.",
            parameters: [
                .batch,
                .query("status", .list(of: .word(TaskRow.Status.self)), "Tasks in these states.", hasCommas: true),
                .query("error_type", .string, "Failed tasks whose error has this type."),
                .query("group", .string, "Failed tasks of this group of errors."),
                .query("q", .string, "Ended tasks whose record id or error message contains this text, in any case."),
                .after(0...BatchState.maximumTasks),
                .limit(pageSizes, otherwise: defaultPageSize),
            ],
            answers: [
                .json(
                    "A page of tasks.",
                    .object([
                        "jobs": .list(of: .shape(.job)), "next": .next,
                        "total": .integer().about("The tasks of the batch so far."),
                    ])
                )
            ],
            problems: [404]
        ),
        Operation(
            method: .get,
            path: "/api/batches/{batch}/jobs/{job}",
            id: "getJob",
            summary: "Shows a task with its record, its output and its attempts",
            tag: "Tasks",
            parameters: job,
            answers: [.json("The task.", .shape(.jobDetail))],
            problems: [404]
        ),
        Operation(
            method: .get,
            path: "/api/batches/{batch}/jobs/{job}/record",
            id: "downloadRecord",
            summary: "Downloads the record of a failed task",
            tag: "Tasks",
            parameters: job,
            answers: [
                .other(
                    "The bytes of the record.",
                    ["application/json": .any, "text/plain": .string, "application/octet-stream": .string],
                    headers: ["Content-Disposition": .string]
                )
            ],
            problems: [404]
        ),
        Operation(
            method: .get,
            path: "/api/batches/{batch}/jobs/{job}/output",
            id: "downloadOutput",
            summary: "Downloads the output of a task that has succeeded",
            tag: "Tasks",
            parameters: job,
            answers: [.json("The output.", .any, headers: ["Content-Disposition": .string])],
            problems: [404]
        ),
    ]
}

extension ErrorRoutes {
    static let operations = [
        Operation(
            method: .get,
            path: "/api/batches/{batch}/errors",
            id: "listErrors",
            summary: "Groups the failed tasks by their error",
            tag: "Tasks",
            parameters: [.batch],
            answers: [
                .json(
                    "The groups, the largest first.",
                    .object(["groups": .list(of: .shape(.errorGroup)), "failed": .integer()])
                )
            ],
            problems: [404]
        )
    ]
}

extension ResultRoutes {
    static let operations = [
        Operation(
            method: .get,
            path: "/api/batches/{batch}/results",
            id: "downloadResults",
            summary: "Downloads the results as JSONL, CSV or JSON",
            tag: "Results",
            about: """
                The response is compressed with gzip if the client accepts that. A trailer, `X-Last-Line`, has the \
                number of the last line, for `after_line` of the next request.
                """,
            parameters: [
                .batch,
                .query("format", Schema.word(ResultFormat.self).otherwise("jsonl"), "The format."),
                .query(
                    "status",
                    .list(of: .word(Outcome.Status.self)),
                    "Tasks that ended like this. `cancelled` is known when the batch has ended.",
                    hasCommas: true
                ),
                .query("ordered", Schema.boolean.otherwise(false), "Whether the rows are sorted by index."),
                .query(
                    "merge",
                    .word(Merging.self),
                    "Joins each row with its record. The server must be able to read the input."
                ),
                .query(
                    "after_line",
                    .integer(0...BatchState.maximumTasks),
                    "Leaves out the lines up to this one. Ordered or merged results need a batch that has ended."
                ),
                .query(
                    "generation",
                    .integer(0...BatchState.maximumTasks),
                    "`X-Generation` of the response that `after_line` continues."
                ),
            ],
            answers: [
                .other(
                    "The rows.",
                    [
                        "application/x-ndjson": Schema.string.about("One result per line."),
                        "text/csv": .string,
                        "application/json": .list(of: .anyOf([.shape(.result), .shape(.mergedResult)])),
                    ],
                    headers: [
                        "Content-Disposition": .string,
                        "X-Incomplete": Schema.words(["true", "false"])
                            .about("Whether more lines may follow, because the batch has not ended."),
                        "X-Generation": Schema.integer().about("The number of retries; each may change earlier lines."),
                    ]
                )
            ],
            problems: [404, 409, 422]
        )
    ]
}

extension EventRoutes {
    private static let lastEventID = Operation.Parameter.header(
        "Last-Event-ID",
        .string,
        "The `id` of the last event that the client has received."
    )

    private static func stream(_ about: String) -> Operation.Answer {
        .other(
            about,
            [
                "text/event-stream": Schema.anyOf([
                    event("batch", .shape(.batch)), event("deleted", .object(["batch_id": .shape(.name)])),
                ]).about("Each event: a batch as it is now, or the id of a deleted one.")
            ]
        )
    }

    /// An event with its fields as members, as OpenAPI 3.2 describes it.
    private static func event(_ name: String, _ data: Schema) -> Schema {
        .object([
            "event": .constant(.string(name)),
            "id": .string,
            "data": Schema.string.with("contentMediaType", "application/json").with("contentSchema", data.json),
        ])
    }

    static let operations = [
        Operation(
            method: .get,
            path: "/api/events",
            id: "followBatches",
            summary: "Streams the changes of all batches",
            tag: "Events",
            about: "It begins with the batches that have not ended, at most the newest 500.",
            parameters: [lastEventID],
            answers: [stream("Events, until the client leaves or the server ends.")]
        ),
        Operation(
            method: .get,
            path: "/api/batches/{batch}/events",
            id: "followBatch",
            summary: "Streams the changes of a batch",
            tag: "Events",
            parameters: [.batch, lastEventID],
            answers: [
                stream("Events, until the batch has ended or was stopped."),
                .other("The batch has ended, and the client knows it.", status: 204),
            ],
            problems: [404]
        ),
    ]
}
