import HTTPTypes
import OrderedCollections
import SheafBatches
import SheafCore
import SheafSources

// What the description of the API says about the creation of batches.

extension CreateRoutes {
    static let operations = [
        Operation(
            method: .post,
            path: "/api/batches",
            id: "createBatch",
            summary: "Creates a batch from records, an upload or a flow's own source",
            tag: "Batches",
            about: """
                The answer comes when the broker has confirmed every task. The options come in the JSON object, in the \
                fields of the form, or in the query; each only once. Any other type of body is taken if `format` is in \
                the query. A request without records reads the flow's own source.
                """,
            parameters: queryOptions + TraceContext.parameters + [
                .header(
                    "Idempotency-Key",
                    Schema.string(matching: "^[\\x20-\\x7e]{1,255}$"),
                    "Makes the request safe to repeat: requests with the same key create one batch."
                )
            ],
            input: Operation.Input(
                content: [
                    "application/json": .anyOf([
                        jsonOptions,
                        Schema.list(of: .any).about("The records; the options are in the query."),
                    ]),
                    "multipart/form-data": form,
                    "application/jsonl": lines("One JSON value per line."),
                    "application/x-ndjson": lines("One JSON value per line."),
                    "application/x-jsonlines": lines("One JSON value per line."),
                    "text/csv": lines("A header, and one record per row."),
                    "text/tab-separated-values": lines("A header, and one record per row."),
                    "text/plain": lines("One record per line."),
                ],
                about: "Options and records: up to 8 MiB of JSON, or an upload of any size.",
                isOptional: true
            ),
            answers: [
                .json(
                    "The batch is created, and every task is confirmed.",
                    .shape(.createdBatch),
                    status: 201,
                    headers: ["Location": location, "Idempotency-Replayed": replayed]
                ),
                .json(
                    "The preview of a dry run, or the batch that an earlier request with the same key has created.",
                    .anyOf([.shape(.batchPreview), .shape(.createdBatch)]),
                    headers: ["Location": location.optional, "Idempotency-Replayed": replayed]
                ),
            ],
            problems: [409, 413, 415, 422]
        )
    ]

    private static let location = Schema.string.with("format", "uri-reference").about("The path of the batch.")
    private static let replayed = Schema.constant("true").optional
        .about("An earlier request with the same key has begun the batch.")

    private static func lines(_ about: String) -> Schema { Schema.string.about(about) }

    // MARK: Options

    /// The options that have the same form everywhere.
    private static let common: KeyValuePairs<String, Schema> = [
        "flow": Schema.shape(.name).optional.about("The flow, one of those in the server's configuration."),
        "flow_name": Schema.shape(.name).optional.about("Another name for `flow`."),
        "source": Schema.boolean.optional.about("`true` asks for the flow's own source."),
        "shuffle": Schema.boolean.optional.about("Whether the order is random; by default it is."),
        "seed": Schema.integer().with("maximum", .integer(UInt64.max)).optional
            .about("Makes a random order repeatable."),
        "max_records": Schema.integer(from: 1).optional
            .about("At most so many records: a sample if shuffled, else the first ones."),
        "concurrency": Schema.integer(BatchOptions.runningLimits).optional
            .about("The most tasks of the batch at once, over all workers."),
        "pilot": Schema.integer(Pilot.sizes).optional
            .about("So many tasks run first, and then the batch pauses itself."),
        "pilot_pass": Schema.string(matching: "^(100|[0-9]{1,2})%$").optional
            .about("With `pilot`: the batch goes on if at least this percentage of them succeeded."),
        "error_policy": Schema.string(matching: "^(continue|stop|stop:[0-9]{1,7}|stop:[0-9]{1,2}%)$").optional
            .about("When failures stop the batch."),
        "interactive": Schema.boolean.optional.about("Whether tasks may ask questions."),
        "strict": Schema.boolean.optional.about("Whether one record that cannot be read prevents the batch."),
        "batch_id": Schema.shape(.name).optional.about("The id of the batch; by default a new one."),
        "format": Schema.words(SourceFormat.allCases.filter { $0 != .files }.map(\.rawValue)).optional
            .about("How an upload is split into records."),
        "id_field": Schema.string(length: 1...1024).optional.about("The field that holds the id of a record."),
        "dry_run": Schema.boolean.optional.about("`true` counts the records and publishes nothing."),
    ]

    /// The options whose values are objects, in JSON.
    private static let objects: KeyValuePairs<String, Schema> = [
        "parameters": parameters.about("Parameters of the flow; a list makes one task per element."),
        "flow_parameters": parameters.about("Another name for `parameters`."),
        "tags": Schema.map(of: .string(length: 0...64)).with("maxProperties", 32)
            .with("propertyNames", ["pattern": "^[A-Za-z0-9_.-]{1,64}$"]).optional
            .about("Tags by which the batch is found."),
        "dedupe": Schema.anyOf([.boolean, fields]).optional
            .about("Whether identical records run once, or the names of the fields that are compared."),
        "notify": Schema.anyOf([url, urls]).optional.about("URLs that get a webhook when the batch has ended."),
    ]
    private static let fields = Schema.list(of: .string(length: 1...256)).with("minItems", 1)
        .with("maxItems", .integer(Deduplication.maximumFields))
    private static let url = Schema.string(matching: "^https?://").with("format", "uri").with("maxLength", 1024)
    private static let urls = Schema.list(of: url).with("maxItems", .integer(BatchOptions.maximumURLs))
    private static let parameters = Schema.map(of: .any).optional

    /// The same, in a query or a form.
    private static let texts: KeyValuePairs<String, Schema> = [
        "parameters": Schema.string.optional.about("Parameters of the flow as a JSON object."),
        "flow_parameters": Schema.string.optional.about("Another name for `parameters`."),
        "tags": Schema.string.optional.about("Tags as a JSON object of strings."),
        "parameter": Schema.list(of: .string(matching: "^$|^[^=]+=")).optional
            .about("One parameter as `name=value`; the value is JSON if it is valid, else a string."),
        "tag": Schema.list(of: .string(matching: "^$|^[A-Za-z0-9_.-]{1,64}=")).optional
            .about("One tag as `key=value`."),
        "dedupe": Schema.string(matching: "^$|^[^,]{1,256}(,[^,]{1,256}){0,99}$").optional
            .about("`true` or `false`, or the names of the fields that are compared, separated by commas."),
        "notify": urls.optional.about("A URL that gets a webhook when the batch has ended."),
    ]

    private static let queryOptions: [Operation.Parameter] = (Array(common) + Array(texts)).map { name, schema in
        .query(name, schema, schema.members["description"]?.stringValue ?? name)
    }

    private static let jsonOptions = Schema.closed(common).adding(objects).adding([
        "records": Schema.list(of: .any).optional.about("The records.")
    ]).about("The options, and perhaps records. Null means that an option is not given.")

    private static let form = Schema.closed(common).adding(texts).adding([
        "file": Schema.string.with("contentMediaType", "application/octet-stream").optional
            .about("The records; its name or type says the format.")
    ])
}
