/// One record of a batch with one combination of parameters, as it waits in a queue.
package struct BatchTask: Sendable, Equatable {
    /// The flow that runs the task.
    package var flow: Name
    /// The batch that the task belongs to.
    package var batch: Name
    /// The task's number within the batch, from 0 without gaps.
    package var index: Int
    /// The generation: 0 at first, and one more each time the task is retried.
    package var generation: Int
    /// The number of the next attempt, from 1; deliveries to workers that died are not counted.
    package var attempt: Int
    /// The input record.
    package var record: Record
    /// The parameters as a JSON object, or nil if there are none.
    package var parameters: String?
    /// The errors of the last few attempts.
    package var errors: [AttemptError]
    /// The place of its creation in a trace, or nil if that is not traced.
    package var trace: TraceContext?

    package init(
        flow: Name,
        batch: Name,
        index: Int,
        generation: Int = 0,
        attempt: Int = 1,
        record: Record,
        parameters: String? = nil,
        errors: [AttemptError] = [],
        trace: TraceContext? = nil
    ) {
        self.flow = flow
        self.batch = batch
        self.index = index
        self.generation = generation
        self.attempt = attempt
        self.record = record
        self.parameters = parameters
        self.errors = errors
        self.trace = trace
    }

    /// The task's unique id: `batch:index`.
    package var id: String { "\(batch.text):\(index)" }

    package static let messageType = "task"

    package var message: Message {
        var headers: [Message.Header] = [
            .init("sheaf-flow", .string(flow.text)),
            .init("sheaf-batch", .string(batch.text)),
            .init("sheaf-index", .integer(Int64(index))),
            .init("sheaf-record", .string(record.id)),
        ]
        if generation > 0 { headers.append(.init("sheaf-generation", .integer(Int64(generation)))) }
        if attempt > 1 { headers.append(.init("sheaf-attempt", .integer(Int64(attempt)))) }
        if let parameters { headers.append(.init("sheaf-parameters", .string(parameters))) }
        if !errors.isEmpty {
            let text = AttemptError.json(AttemptError.bounded(errors)).text
            headers.append(.init("sheaf-errors", .string(text)))
        }
        for (name, value) in trace?.headers ?? [] { headers.append(.init(name, .string(value))) }
        return Message(
            id: id,
            type: Self.messageType,
            contentType: record.kind.contentType,
            headers: headers,
            body: record.bytes
        )
    }

    /// Decodes a task; throws ``UnreadableMessage`` if the message is not a valid task.
    package init(_ message: Message) throws(UnreadableMessage) {
        guard message.type == Self.messageType else {
            throw UnreadableMessage("its type is '\(message.type.prefix(40))', not 'task'")
        }
        func name(_ header: String) throws(UnreadableMessage) -> Name {
            guard let name = message.string(header).flatMap({ Name($0) }) else {
                throw UnreadableMessage("its header \(header) is not \(Name.rule)")
            }
            return name
        }
        func number(_ header: String, from least: Int, default standard: Int?) throws(UnreadableMessage) -> Int {
            if message[header] == nil, let standard { return standard }
            guard let value = message.integer(header), (least..<BatchState.maximumTasks).contains(value) else {
                throw UnreadableMessage("its header \(header) is not an integer from \(least)")
            }
            return value
        }
        self.init(
            flow: try name("sheaf-flow"),
            batch: try name("sheaf-batch"),
            index: try number("sheaf-index", from: 0, default: nil),
            generation: try number("sheaf-generation", from: 0, default: 0),
            attempt: try number("sheaf-attempt", from: 1, default: 1),
            record: Record(id: "", kind: Record.Kind(contentType: message.contentType), bytes: message.body),
            parameters: message.string("sheaf-parameters"),
            errors: message.string("sheaf-errors").map { AttemptError.list(text: $0) } ?? [],
            trace: message.string(TraceContext.parentHeader).flatMap {
                TraceContext(traceParent: $0, traceState: message.string(TraceContext.stateHeader))
            }
        )
        let identifier = message.string("sheaf-record") ?? String(index)
        guard identifier.utf8.count <= Record.maximumIDSize else {
            throw UnreadableMessage("its header sheaf-record is longer than \(Record.maximumIDSize) bytes")
        }
        guard message.body.count <= Record.maximumSize else {
            throw UnreadableMessage("its body has \(message.body.count) bytes; the limit is \(Record.maximumSize)")
        }
        record.id = identifier
    }
}
