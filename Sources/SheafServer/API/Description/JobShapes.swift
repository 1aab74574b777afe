import SheafBatches
import SheafCore

// The shapes of tasks, of their attempts, errors and results.

extension Shape {
    static let failureSchema = Schema.object(["type": .string, "message": .string])

    static let attemptErrorSchema = Schema.object([
        "attempt": .integer(),
        "type": .string,
        "message": .string,
        "at": .time,
        "worker": .string,
    ])

    static let jobSchema = Schema.object([
        "index": .integer(),
        "record_id": .string.orNull.about("Null until the task has ended once."),
        "status": .word(TaskRow.Status.self),
        "generation": .integer(),
        "attempts": .integer().orNull,
        "error": .shape(.failure).orNull,
        "started_at": .time.orNull,
        "finished_at": .time.orNull,
        "worker": .string.orNull,
        "same_as": .integer().orNull.about("The task with an identical record that runs for this one."),
    ])

    static let jobDetailSchema = jobSchema.adding([
        "batch_id": .shape(.name),
        "task_id": .string,
        "record": .shape(.payload).orNull.about("The record of a failed task."),
        "output": .shape(.payload).orNull.about("The output of a task that has succeeded."),
        "parameters": .string.orNull.about("The parameters of a failed task as JSON text."),
        "history": .list(of: .shape(.attempt)).about("The attempts, oldest first: at most 10 for each generation."),
        "usage": .map(of: .integer()).optional,
        "same_record": .list(of: .integer()).optional.about("All tasks of the record, if there are several."),
    ])

    static let attemptSchema = Schema.object([
        "generation": .integer(),
        "attempt": .integer(),
        "status": .word(Outcome.Status.self),
        "error": .shape(.failure).orNull,
        "started_at": .time.orNull,
        "finished_at": .time,
        "worker": .string,
    ])

    static let payloadSchema = Schema.object([
        "kind": .word(Record.Kind.self),
        "size": .integer().about("The size in bytes."),
        "text": .string.orNull.about("The first 16 KiB; null if it is not UTF-8."),
        "truncated": .boolean,
    ])

    static let errorGroupSchema = Schema.object([
        "group": .string.about("The id of the group, for filters."),
        "error_type": .string.orNull,
        "pattern": .string.orNull.about("The message without what differs."),
        "example": .string,
        "count": .integer(from: 1),
        "first": .object(["index": .integer(), "record_id": .string.orNull]),
    ])

    static let resultSchema = Schema.object([
        "batch_id": .shape(.name),
        "index": .integer(),
        "record_id": .string,
        "status": .word(Outcome.Status.self),
        "output": .any,
        "error": .shape(.failure).orNull,
        "attempts": .integer(),
        "errors": .list(of: .shape(.attemptError)).optional,
        "started_at": .time,
        "finished_at": .time,
        "worker": .string,
        "same_as": .integer().optional.about("The task with an identical record that has run."),
    ])

    static let mergedResultSchema = Schema.object([
        "_status": .word(Outcome.Status.self),
        "_output": .any,
        "_error": .shape(.failure).orNull,
        "_parameters": .map(of: .any).optional,
    ]).with("additionalProperties", true).about("A record with how its task has ended.")
}
