import HTTPTypes
import SheafCore

// What the description of the API says about questions, dead letters, workers and the server itself.

extension QuestionRoutes {
    static let operations = [
        Operation(
            method: .get,
            path: "/api/questions",
            id: "listQuestions",
            summary: "Lists questions of tasks that wait for an answer",
            tag: "Questions",
            parameters: [.query("batch", .string, "Questions of this batch only: its id, or `last`.")],
            answers: [.json("The questions.", .object(["questions": .list(of: .shape(.question))]))],
            problems: [404]
        ),
        Operation(
            method: .post,
            path: "/api/questions/{task}",
            id: "answerQuestion",
            summary: "Answers the oldest open question of a task",
            tag: "Questions",
            parameters: [
                .path("task", .string(matching: "^[A-Za-z0-9_-]{1,64}:[0-9]{1,8}$"), "The task, as `batch:index`.")
            ],
            input: .json(
                .closed([
                    "answer": Schema.string.about("An empty string stands for the question's default."),
                    "by": Schema.string.orNull.optional
                        .about("The author, for the log; by default the name of the token."),
                    "number": Schema.integer().orNull.optional
                        .about("The question that is meant, so that no later one is answered."),
                ]),
                "The answer."
            ),
            answers: [
                .json("The question with its answer.", Shape.question.schema.adding(["answer": .string]))
            ],
            problems: [404, 409, 413, 415]
        ),
    ]
}

extension SubmissionRoutes {
    private static let submission = Operation.Parameter.path(
        "submission",
        .string,
        "The submission: its `key`, or the provider's id."
    )
    private static let id = #"^\.?[A-Za-z0-9_:/-]+(\.[A-Za-z0-9_:/-]+)*\.?$"#
    private static let author = Schema.string.orNull.optional
        .about("The author, for the log; by default the name of the token.")

    static let operations = [
        Operation(
            method: .get,
            path: "/api/batches/{batch}/submissions",
            id: "listSubmissions",
            summary: "Lists the submissions of a batch to providers' batch APIs",
            tag: "Batches",
            parameters: [.batch],
            answers: [.json("The submissions.", .object(["submissions": .list(of: .shape(.submission))]))],
            problems: [404]
        ),
        Operation(
            method: .get,
            path: "/api/submissions",
            id: "listAllSubmissions",
            summary: "Lists the submissions of all batches, oldest first",
            tag: "Submissions",
            answers: [.json("The submissions.", .object(["submissions": .list(of: .shape(.submission))]))]
        ),
        Operation(
            method: .get,
            path: "/api/submissions/{submission}",
            id: "getSubmission",
            summary: "Shows a submission",
            tag: "Submissions",
            parameters: [submission],
            answers: [.json("The submission.", .shape(.submission))],
            problems: [404]
        ),
        Operation(
            method: .post,
            path: "/api/submissions/{submission}/cancel",
            id: "cancelSubmission",
            summary: "Asks the provider to end a submission; its tasks without a result are submitted again",
            tag: "Submissions",
            parameters: [submission],
            input: .json(.closed(["by": author]), "Who asks.", isOptional: true),
            answers: [.json("The submission.", .shape(.submission))],
            problems: [404, 409, 413, 415]
        ),
        Operation(
            method: .post,
            path: "/api/submissions/{submission}/resolve",
            id: "resolveSubmission",
            summary: "Decides about an unclear submission: which one it is, or that it was not created",
            tag: "Submissions",
            parameters: [submission],
            input: .json(
                Schema.anyOf([
                    .closed([
                        "id": .string(matching: id).with("maxLength", .integer(SubmissionEntry.longestID))
                            .about("The provider's id of the submission."),
                        "not_created": Schema.constant(false).orNull.optional, "by": author,
                    ]),
                    .closed([
                        "id": Schema.constant(.null).optional,
                        "not_created": Schema.constant(true)
                            .about("The provider has no such submission, so its requests are sent again."),
                        "by": author,
                    ]),
                ]),
                "Either `id` or `not_created`."
            ),
            answers: [.json("The submission.", .shape(.submission))],
            problems: [404, 409, 413, 415]
        ),
    ]
}

extension DeadLetterRoutes {
    private static let number = Operation.Parameter.path("number", .integer(), "The number of the dead letter.")

    static let operations = [
        Operation(
            method: .get,
            path: "/api/dead",
            id: "listDeadLetters",
            summary: "Lists dead letters, oldest first",
            tag: "Dead letters",
            parameters: [.limit(pageSizes, otherwise: defaultPageSize), .after(0...Int.max)],
            answers: [
                .json(
                    "A page of dead letters.",
                    .object([
                        "dead": .list(of: .shape(.deadLetter)), "next": .next,
                        "count": .integer().about("The number of all dead letters."),
                    ])
                )
            ]
        ),
        Operation(
            method: .get,
            path: "/api/dead/{number}",
            id: "getDeadLetter",
            summary: "Shows a dead letter with its message",
            tag: "Dead letters",
            parameters: [number],
            answers: [.json("The dead letter.", .shape(.deadLetterInFull))],
            problems: [404]
        ),
        Operation(
            method: .post,
            path: "/api/dead/{number}/requeue",
            id: "requeueDeadLetter",
            summary: "Returns a dead letter to its queue",
            tag: "Dead letters",
            parameters: [number],
            answers: [.json("What became of it.", .shape(.requeuedLetter))],
            problems: [404, 409]
        ),
        Operation(
            method: .post,
            path: "/api/dead/requeue",
            id: "requeueDeadLetters",
            summary: "Returns all dead letters for which that is possible",
            tag: "Dead letters",
            answers: [
                .json("What became of each.", .object(["dead": .list(of: .shape(.requeuedLetter))]))
            ],
            problems: [409]
        ),
        Operation(
            method: .delete,
            path: "/api/dead",
            id: "clearDeadLetters",
            summary: "Clears the list of dead letters",
            tag: "Dead letters",
            answers: [.json("The list is empty.", .object(["purged": .integer()]))]
        ),
    ]
}

extension WorkerRoutes {
    static let operations = [
        Operation(
            method: .get,
            path: "/api/workers",
            id: "listWorkers",
            summary: "Lists live workers and what they run",
            tag: "Workers and flows",
            answers: [.json("The workers.", .object(["workers": .list(of: .shape(.worker))]))]
        ),
        Operation(
            method: .get,
            path: "/api/flows",
            id: "listFlows",
            summary: "Lists the flows that the server, a worker or an open batch names",
            tag: "Workers and flows",
            answers: [.json("The flows.", .object(["flows": .list(of: .shape(.flow))]))]
        ),
        Operation(
            method: .get,
            path: "/api/scaling",
            id: "getScaling",
            summary: "Says how much work there is for workers",
            tag: "Workers and flows",
            parameters: [.query("flow", .list(of: .string), "These flows only.")],
            answers: [
                .json(
                    "The load of each flow.",
                    .object([
                        "flows": .map(of: .shape(.load)),
                        "desired": .integer().about("How many tasks of all these flows need a worker."),
                    ])
                )
            ]
        ),
    ]
}

extension HealthRoutes {
    static let operations = [
        Operation(
            method: .get,
            path: "/healthz",
            id: "getHealth",
            summary: "Answers while the process lives",
            tag: "Server",
            about: "It ignores the prefix.",
            answers: [.json("The process lives.", .object(["status": .constant("ok")]))]
        ),
        Operation(
            method: .get,
            path: "/readyz",
            id: "getReadiness",
            summary: "Answers whether the broker can be used",
            tag: "Server",
            about: "It ignores the prefix.",
            answers: [.json("The broker has answered lately.", .object(["status": .constant("ready")]))]
        ),
    ]
}

extension MetricsRoute {
    static let operations = [
        Operation(
            method: .get,
            path: "/metrics",
            id: "getMetrics",
            summary: "Exports metrics in the text format of Prometheus",
            tag: "Server",
            answers: [.other("The metrics.", ["text/plain": .string])]
        )
    ]
}

extension DescriptionRoute {
    static let operations = [
        Operation(
            method: .get,
            path: "/openapi.json",
            id: "getDescription",
            summary: "Returns the OpenAPI description of this API",
            tag: "Server",
            parameters: [.ifNoneMatch],
            answers: [.tagged("An OpenAPI document, version 3.1.", .map(of: .any)), .notModified]
        )
    ]
}
