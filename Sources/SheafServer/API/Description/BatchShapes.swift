import SheafBatches
import SheafCore

// The shapes of batches.

extension Shape {
    static let batchSchema = Schema.object([
        "batch_id": .shape(.name),
        "flow": .shape(.name),
        "tags": .map(of: .string),
        "status": .word(BatchStatus.self),
        "total": .integer().about("The number of tasks, or of those so far if `sealed` is false."),
        "twins": .integer().about("The tasks that get the outcome of an earlier one with an identical record."),
        "sealed": .boolean.about("Whether all tasks are published."),
        "interrupted": .boolean.about("Whether the creator ended before all tasks were published."),
        "missing": .integer().about("Tasks that the broker has lost."),
        "trimmed": .boolean.about("Whether outcomes were removed before they were counted."),
        "limited": .shape(.wait).orNull.about("The tasks that wait because of a rate limit."),
        "questions": .integer().about("Questions of tasks that wait for an answer."),
        "counts": .object([
            "pending": .integer(), "running": .integer(), "succeeded": .integer(), "failed": .integer(),
            "cancelled": .integer(),
        ]).about("The tasks in each state; they add up to `total`."),
        "usage": .map(of: .integer()).about("What the successful tasks used, such as tokens of a model."),
        "pilot": pilotSchema.orNull.about("The tasks that run first, before the batch pauses itself."),
        "created_at": .time,
        "started_at": .time.orNull,
        "finished_at": .time.orNull,
        "reason": .string.orNull.about("Why the batch was stopped."),
    ])

    private static let pilotSchema = Schema.object([
        "tasks": .integer().about("Their number."),
        "pass": .string.orNull.about("The percentage of them that must succeed for the batch to go on by itself."),
        "state": .words(["running", "waiting", "over"])
            .about("Whether they run, the batch waits to be resumed, or its other tasks may run."),
        "succeeded": .integer(),
        "failed": .integer(),
        "usage": .map(of: .integer()),
        "projection": .object([
            "failure_rate": .number.about("The part of the pilot that failed, from 0 to 1."),
            "total": .integer().about("The number of tasks of the batch, or of those so far."),
            "failed": .integer(),
            "usage": .map(of: .integer()),
        ]).orNull.about("What the whole batch comes to at the same rate; null until the pilot has ended."),
    ])

    static let batchInFullSchema = batchSchema.adding([
        "max_running": Schema.integer(BatchOptions.runningLimits).orNull
            .about("How many tasks run at once; null for no limit."),
        "options": .object([
            "error_policy": .string,
            "max_running": Schema.integer(BatchOptions.runningLimits).orNull,
            "seed": .integer().orNull.about("The seed of the order; null for the order of the input."),
            "max_records": .integer(from: 1).orNull,
            "parameters": .map(of: .any),
            "interactive": .boolean,
            "tags": .map(of: .string).optional,
            "notify": .list(of: .string).optional.about("The URLs that are notified of the end."),
            "pilot": Schema.integer(Pilot.sizes).optional,
            "pilot_pass": .string.optional,
            "dedupe": .anyOf([.constant(true), .list(of: .string)]).optional
                .about("Which records run once: all that are identical, or those with the same fields."),
        ]),
        "source": .string.about("Where the records came from."),
        "generation": .integer().about("How often the batch was retried."),
        "paused": .boolean,
    ])

    static let createdBatchSchema = batchSchema.adding([
        "invalid": .integer().about("Tasks that have failed because their record cannot be read."),
        "resumed_at": .integer().optional.about("The task from which an interrupted creation was continued."),
    ])

    static let batchPreviewSchema = Schema.object([
        "dry_run": .constant(true),
        "flow": .shape(.name),
        "total": .integer().about("How many tasks the batch would have."),
        "records": .integer(),
        "invalid": .integer().about("Tasks whose record cannot be read."),
        "twins": .integer().about("Tasks with a record that is identical to an earlier one."),
        "variants": .integer(from: 1).about("Tasks for each record."),
        "first": .object(["record_id": .string, "record": .any]).orNull.about("The first record."),
        "estimate": .object([
            "input_tokens": .object(["least": .integer(), "most": .integer()]),
            "output_tokens": .object(["most": .integer().orNull]),
            "cost": .object(["least": costSchema, "most": costSchema]),
            "failing": .integer().about("Tasks that cannot be a request."),
        ]).orNull.about("What the requests would use, by their size; null if the flow asks no model."),
    ])

    private static let costSchema = Schema.object([
        "amount": .number.orNull, "currency": .string.optional,
        "reason": .string.optional.about("Why the amount is unknown."),
    ])

    static let deletedBatchSchema = Schema.object([
        "batch_id": .shape(.name),
        "deleted": .constant(true),
        "was_deleted": .boolean.about("Whether it was deleted before the request."),
    ])

    static let retriedBatchSchema = batchSchema.adding([
        "retried": .integer().about("How many tasks run again."),
        "generation": .integer().about("The generation in which they run."),
        "left_out": .object([
            "invalid": .integer().about("Tasks whose record cannot be read."),
            "without_record": .integer().about("Tasks whose record is unknown."),
            "not_failed": .integer().about("Tasks that have not failed."),
        ]),
    ])

    static let waitSchema = Schema.object([
        "limit": .string.about("The name of the limit."),
        "tasks": .integer(),
        "until": .time.orNull,
    ])

    static let eventSchema = Schema.object([
        "log": .words(["journal", "results"]),
        "offset": .integer(),
        "at": .time.orNull,
        "event": .string.about("What happened: the type of the entry, the status of an outcome, or `attempt-failed`."),
        "index": .integer().orNull.about("The task; null for the batch as a whole."),
        "generation": .integer().orNull,
        "attempt": .integer().orNull,
        "worker": .string.orNull,
        "error": .shape(.failure).orNull,
        "detail": .string.orNull,
        "ignored": .boolean.about("Whether an outcome does not count."),
    ])
}
