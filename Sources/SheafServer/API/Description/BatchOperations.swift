import HTTPTypes
import SheafBatches
import SheafCore

// What the description of the API says about batches and what changes them.

extension Operation.Parameter {
    /// The batch in a path.
    static let batch = Self.path(
        "batch",
        Schema.string(matching: "^(last|[A-Za-z0-9_-]{1,64})$").with("examples", ["last"]),
        "The id of a batch, or `last` for the newest one."
    )

    /// The size of a page.
    static func limit(_ range: ClosedRange<Int>, otherwise size: Int) -> Self {
        .query("limit", Schema.integer(range).otherwise(.integer(size)), "The most elements of a page.")
    }

    /// The start of a page.
    static func after(_ range: ClosedRange<Int>) -> Self {
        .query("after", .integer(range), "`next` of the previous page.")
    }

    /// The state that the client knows.
    static let ifNoneMatch = Self.header("If-None-Match", .string, "The `ETag` of the state that the client knows.")
}

extension Operation.Answer {
    /// The client knows the state already.
    static let notModified = Self.other("Nothing has changed.", status: 304, headers: ["ETag": Schema.entityTag])

    /// A response with JSON and an `ETag`.
    static func tagged(_ about: String, _ schema: Schema) -> Self {
        .json(about, schema, headers: ["ETag": .entityTag])
    }
}

extension Schema {
    fileprivate static let entityTag = Schema.string.about("Stands for this state, on every server.")
    /// What a page gives to find the next one.
    static let next = Schema.string.orNull.about("`after` of the next page; null if this is the last one.")
}

extension BatchRoutes {
    static let operations = [
        Operation(
            method: .get,
            path: "/api/batches",
            id: "listBatches",
            summary: "Lists batches, newest first",
            tag: "Batches",
            about: "One request looks at no more than 10,000 batches, so a page may be short and `next` not null.",
            parameters: [
                .query(
                    "status",
                    .list(of: .word(BatchStatus.self)),
                    "Batches with one of these statuses.",
                    hasCommas: true
                ),
                .query("flow", .list(of: .string), "Batches of one of these flows."),
                .query(
                    "tag",
                    .list(of: .string(matching: "^[A-Za-z0-9_.-]{1,64}(=[^\\x00-\\x1f\\x7f-\\x9f]{0,256})?$")),
                    "Batches with all of these tags, as `key=value`, or `key` for any value."
                ),
                .query("q", .string, "Batches whose id, flow or source contains this text, in any case."),
                .limit(pageSizes, otherwise: defaultPageSize),
                .query("after", .string, "`next` of the previous page."),
                .ifNoneMatch,
            ],
            answers: [
                .tagged("A page of batches.", .object(["batches": .list(of: .shape(.batch)), "next": .next])),
                .notModified,
            ]
        ),
        Operation(
            method: .get,
            path: "/api/batches/{batch}",
            id: "getBatch",
            summary: "Shows a batch with its options",
            tag: "Batches",
            parameters: [.batch, .ifNoneMatch],
            answers: [.tagged("The batch.", .shape(.batchInFull)), .notModified],
            problems: [404]
        ),
        Operation(
            method: .get,
            path: "/api/batches/{batch}/journal",
            id: "getJournal",
            summary: "Lists what the logs record about a batch",
            tag: "Batches",
            about: "It reads the logs from their start, so a later page of a large batch takes longer.",
            parameters: [
                .batch,
                .query("index", .integer(0...BatchState.maximumTasks - 1), "Events of this task only."),
                .limit(pageSizes, otherwise: defaultPageSize),
                .after(0...Int.max - 1),
            ],
            answers: [
                .json("A page of events.", .object(["events": .list(of: .shape(.event)), "next": .next]))
            ],
            problems: [404]
        ),
    ]
}

extension ControlRoutes {
    private static let cancelAnswer = Operation.Answer.json("The batch.", .shape(.batch))
    private static let now = Operation.Parameter.query(
        "now",
        Schema.boolean.otherwise(false),
        "Whether running tasks are ended too."
    )
    private static let changeAnswer = Operation.Answer.json("The batch.", .shape(.changedBatch))

    static let operations = [
        Operation(
            method: .delete,
            path: "/api/batches/{batch}",
            id: "cancelBatch",
            summary: "Cancels a batch",
            tag: "Control",
            parameters: [.batch, now],
            answers: [cancelAnswer],
            problems: [404, 409]
        ),
        Operation(
            method: .post,
            path: "/api/batches/{batch}/cancel",
            id: "cancelBatchByPost",
            summary: "Cancels a batch",
            tag: "Control",
            parameters: [.batch, now],
            answers: [cancelAnswer],
            problems: [404, 409]
        ),
        Operation(
            method: .post,
            path: "/api/batches/{batch}/pause",
            id: "pauseBatch",
            summary: "Starts no more tasks of a batch",
            tag: "Control",
            parameters: [.batch],
            answers: [changeAnswer],
            problems: [404, 409]
        ),
        Operation(
            method: .post,
            path: "/api/batches/{batch}/resume",
            id: "resumeBatch",
            summary: "Continues a batch that was paused or stopped",
            tag: "Control",
            parameters: [.batch],
            answers: [changeAnswer],
            problems: [404, 409]
        ),
        Operation(
            method: .post,
            path: "/api/batches/{batch}/retry",
            id: "retryBatch",
            summary: "Runs tasks again: all that failed, some by number or filter, or those that were lost",
            tag: "Control",
            about: "The answer comes when all of it is durable.",
            parameters: [.batch] + TraceContext.parameters,
            input: .json(
                .anyOf([
                    .closed(["indexes": indexes.optional, "missing": no, "force": no]),
                    .closed(["filter": filter, "missing": no, "force": no]),
                    .closed([
                        "missing": Schema.constant(true).about("Selects the tasks that the broker has lost."),
                        "force": Schema.boolean.orNull.about("Also selects tasks that may not be lost.").optional,
                    ]),
                ]),
                "Selects the tasks; without members all that failed.",
                isOptional: true
            ),
            answers: [.json("The batch, and how many of its tasks run again.", .shape(.retriedBatch), status: 202)],
            problems: [404, 409, 413, 415, 422]
        ),
        Operation(
            method: .patch,
            path: "/api/batches/{batch}",
            id: "changeBatch",
            summary: "Changes how many tasks of a batch run at once",
            tag: "Control",
            parameters: [.batch],
            input: .json(
                Schema.closed([
                    "max_running": maxRunning.optional,
                    "concurrency": maxRunning.about("Another name for `max_running`.").optional,
                ]).with("minProperties", 1).with("maxProperties", 1),
                "The new limit."
            ),
            answers: [.json("The batch.", .shape(.batchInFull))],
            problems: [404, 409, 413, 415]
        ),
        Operation(
            method: .delete,
            path: "/api/batches/{batch}/data",
            id: "deleteBatch",
            summary: "Deletes a batch that has ended, with its results",
            tag: "Control",
            parameters: [
                .batch,
                .query("force", Schema.boolean.otherwise(false), "Whether an open batch is cancelled first."),
            ],
            answers: [.json("The batch is deleted.", .shape(.deletedBatch))],
            problems: [404, 409]
        ),
    ]

    private static let maxRunning = Schema.integer(BatchOptions.runningLimits).orNull
        .about("How many tasks run at once; null removes the limit.")

    private static let index = Schema.anyOf([
        .integer(0...BatchState.maximumTasks - 1),
        .string(matching: "^[0-9]{1,8}(-[0-9]{1,8})?(,[0-9]{1,8}(-[0-9]{1,8})?)*$"),
    ])

    private static let no = Schema.constant(false).orNull.optional
    private static let indexes = Schema.anyOf([index, Schema.list(of: index).with("minItems", 1)])
        .about("Tasks by number, ranges such as `\"7-9\"`, or a list of them.")

    private static let filter = Schema.closed([
        "status": .constant("failed"),
        "error_type": Schema.string.orNull.optional.about("Tasks with this type of error."),
        "group": Schema.string.orNull.optional.about("Tasks of this group of errors."),
        "q": Schema.string.orNull.optional.about("Tasks whose record id or error message contains this text."),
    ]).about("Failed tasks that match.")
}
