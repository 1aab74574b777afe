import SheafBatches
import SheafCore
import SheafSettings

/// The values of the API that have a name in its description.
enum Shape: String, CaseIterable {
    case problem = "Problem"
    case name = "Name"
    case batch = "Batch"
    case batchInFull = "BatchInFull"
    case changedBatch = "ChangedBatch"
    case createdBatch = "CreatedBatch"
    case batchPreview = "BatchPreview"
    case deletedBatch = "DeletedBatch"
    case retriedBatch = "RetriedBatch"
    case wait = "RateLimitWait"
    case event = "JournalEvent"
    case failure = "Failure"
    case attemptError = "AttemptError"
    case job = "Job"
    case jobDetail = "JobDetail"
    case attempt = "Attempt"
    case payload = "Payload"
    case errorGroup = "ErrorGroup"
    case result = "Result"
    case mergedResult = "MergedResult"
    case question = "Question"
    case submission = "Submission"
    case dispatcher = "Dispatcher"
    case addedRequests = "AddedRequests"
    case request = "Request"
    case deadLetter = "DeadLetter"
    case deadLetterInFull = "DeadLetterInFull"
    case requeuedLetter = "RequeuedLetter"
    case worker = "Worker"
    case flow = "Flow"
    case load = "Load"

    var schema: Schema {
        switch self {
        case .problem: Self.problemSchema
        case .name: Schema.string(matching: "^[A-Za-z0-9_-]{1,64}$").about(Name.rule)
        case .batch: Self.batchSchema
        case .batchInFull: Self.batchInFullSchema
        case .changedBatch:
            Self.batchSchema.adding(["changed": .boolean.about("Whether the request changed anything.")])
        case .createdBatch: Self.createdBatchSchema
        case .batchPreview: Self.batchPreviewSchema
        case .deletedBatch: Self.deletedBatchSchema
        case .retriedBatch: Self.retriedBatchSchema
        case .wait: Self.waitSchema
        case .event: Self.eventSchema
        case .failure: Self.failureSchema
        case .attemptError: Self.attemptErrorSchema
        case .job: Self.jobSchema
        case .jobDetail: Self.jobDetailSchema
        case .attempt: Self.attemptSchema
        case .payload: Self.payloadSchema
        case .errorGroup: Self.errorGroupSchema
        case .result: Self.resultSchema
        case .mergedResult: Self.mergedResultSchema
        case .question: Self.questionSchema
        case .submission: Self.submissionSchema
        case .dispatcher: Self.dispatcherSchema
        case .addedRequests: Self.addedRequestsSchema
        case .request: Self.requestSchema
        case .deadLetter: Self.deadLetterSchema
        case .deadLetterInFull: Self.deadLetterInFullSchema
        case .requeuedLetter: Self.requeuedLetterSchema
        case .worker: Self.workerSchema
        case .flow: Self.flowSchema
        case .load: Self.loadSchema
        }
    }
}

extension Shape {
    private static let problemSchema = Schema.object([
        "type": .string.with("format", "uri").about("The kind of problem; `about:blank` if the status says all."),
        "title": .string.about("The phrase of the status."),
        "status": .integer(400...599),
        "detail": .string.about("What failed, on what, and why."),
        "next": .string.about("What to do next.").optional,
    ]).about("A problem (RFC 9457).")

    private static let questionSchema = Schema.object([
        "task_id": .string.about("The task, as `batch:index`."),
        "batch_id": .shape(.name),
        "number": .integer().about("The number of the question within its task."),
        "generation": .integer(),
        "question": .string,
        "choices": .list(of: .string).about("The answers that are allowed; empty if every answer is."),
        "default": .string.orNull.about("What an empty answer stands for."),
        "worker": .string,
        "asked_at": .time,
    ])

    private static let submissionSchema = Schema.object([
        "key": .string.about("Sheaf's name of it."),
        "id": .string.orNull.about("The provider's id; null if it is not known."),
        "batch_id": .shape(.name),
        "flow": .shape(.name),
        "state": .word(SheafCore.Submission.State.self),
        "requests": .integer(),
        "results": .integer().about("The results so far."),
        "missing": .integer().about("The requests that ended without a result and are submitted again."),
        "usage": .map(of: .integer()).about("The usage of the results that were read."),
        "address": .string.about("The URL of the service."),
        "file": .string.orNull.about("The provider's id of the uploaded requests."),
        "message": .string.orNull.about("What is wrong."),
        "worker": .string.about("The worker that wrote about it last."),
        "announced_at": .time,
        "changed_at": .time,
        "rejection": .string.orNull.about("Why the last decision about it could not be followed."),
        "cancelled_by": .string.orNull.about("The user who wants it to be cancelled."),
        "resolution": Schema.object([
            "id": .string.orNull.about("The provider's id; null if it was not created.")
        ]).orNull.about("What a user decided while it was unclear."),
    ])

    private static let deadLetterSchema = Schema.object([
        "number": .integer().about("Its place in the list."),
        "at": .time.orNull,
        "reason": .string,
        "queue": .string.about("The queue from which it came."),
        "type": .string.about("The type of the message."),
        "task_id": .string.orNull,
        "size": .integer().about("The size of the body in bytes."),
        "preview": .string.about("The beginning of the body."),
    ])

    private static let deadLetterInFullSchema = deadLetterSchema.adding([
        "message_id": .string,
        "content_type": .string,
        "headers": .map(of: .any),
        "body": .string.orNull.about("The body; null if it is not UTF-8."),
        "body_base64": .string.orNull.about("The body in Base64 if it is not UTF-8."),
    ])

    private static let requeuedLetterSchema = Schema.object([
        "number": .integer(),
        "queue": .string,
        "requeued": .boolean,
        "reason": .string.orNull.about("Why it stays in the list."),
    ])

    private static let workerSchema = Schema.object([
        "worker": .string,
        "host": .string.orNull,
        "slots": .integer().orNull.about("How many tasks it runs at once."),
        "busy": .integer().about("How many tasks it runs."),
        "flows": .list(of: .shape(.name)).about("The flows that it can run."),
        "since": .time.about("When this server first read of it."),
        "seen_at": .time,
        "batches": .list(
            of: .object([
                "batch_id": .shape(.name),
                "flow": .shape(.name).orNull,
                "running": .integer(),
                "waiting": .integer().about("Tasks that it holds and has not started."),
                "limited": .shape(.wait).orNull,
                "tasks": .list(of: .object(["index": .integer(), "since": .time]))
                    .with("maxItems", .integer(WorkerRoutes.listedTasks))
                    .about("The tasks that run longest."),
            ])
        ),
    ])

    private static let flowSchema = Schema.object([
        "flow": .shape(.name),
        "kind": .string.orNull.about("What the flow does, such as `exec`; null if the server does not configure it."),
        "configured": .boolean.about("Whether the server's configuration has the flow."),
        "workers": .integer().about("Live workers that can run it."),
        "open_batches": .integer(),
    ])

    private static let loadSchema = Schema.object([
        "waiting": .integer().about("Tasks that a worker could start now."),
        "running": .integer().about("Tasks that live workers run."),
        "delayed": .integer().about("Tasks that wait for their next attempt."),
        "leased": .integer().about("Long tasks and bulks in the results log."),
        "desired": .integer().about("Tasks that need a worker."),
        "oldest_seconds": .number.with("minimum", 0).about("The age of the oldest batch with waiting tasks."),
    ])
}
