import OrderedCollections
import SheafBatches
public import SheafCore

/// A request to a model, with an id that its result has too.
public struct BatchRequest: Sendable, Equatable {
    /// The id: unique within its batch, from 1 to 255 bytes.
    public var id: String
    /// The members of the request, such as `messages` and `temperature`: an object.
    public var body: JSONValue

    /// Creates a request from its members; what the model's arguments have need not be repeated.
    public init(id: String, body: JSONValue) {
        self.id = id
        self.body = body
    }

    /// Creates a request to a chat model.
    ///
    /// - Parameters:
    ///   - id: The id.
    ///   - messages: The messages in the form of OpenAI, which is converted for other providers.
    ///   - system: The system message before them; nil for none.
    ///   - model: Another model than that of the batch; nil for the same.
    ///   - tools: The tools in the form of OpenAI; empty for none.
    ///   - arguments: Further members, such as `temperature`.
    public init(
        id: String,
        messages: [JSONValue],
        system: String? = nil,
        model: String? = nil,
        tools: [JSONValue] = [],
        arguments: JSONValue = [:]
    ) {
        var members = arguments.objectValue ?? [:]
        let first: [JSONValue] = system.map { [["role": "system", "content": .string($0)]] } ?? []
        members["messages"] = .array(first + messages)
        if let model { members["model"] = .string(model) }
        if !tools.isEmpty { members["tools"] = .array(tools) }
        self.init(id: id, body: .object(members))
    }

    /// Creates a request for the embedding of a text.
    public init(id: String, input: String, model: String? = nil, arguments: JSONValue = [:]) {
        var members = arguments.objectValue ?? [:]
        members["input"] = .string(input)
        if let model { members["model"] = .string(model) }
        self.init(id: id, body: .object(members))
    }

    /// The request as the record of a task.
    public var record: Record { Record(id: id, kind: .json, bytes: body.bytes) }

    /// The members of a record that are its id, and no part of the request.
    static let idKeys = ["id", "record_id"]
    /// The largest id in bytes.
    static let maximumIDSize = 255
}

extension [BatchRequest] {
    /// Returns the requests as records.
    ///
    /// - Throws: ``SheafError`` with `invalid` if there are none, if an id is invalid or used twice, or if a request is
    ///   too large.
    func records() throws(SheafError) -> [Record] {
        if isEmpty { throw SheafError(.invalid, "a batch needs at least one request") }
        var ids: Set<String> = []
        var records: [Record] = []
        for request in self {
            let size = request.id.utf8.count
            guard (1...BatchRequest.maximumIDSize).contains(size) else {
                throw SheafError(
                    .invalid,
                    "the id of request '\(request.id.prefix(40))' has \(size) bytes; the limits are 1 and "
                        + "\(BatchRequest.maximumIDSize)"
                )
            }
            guard ids.insert(request.id).inserted else {
                throw SheafError(.invalid, "two requests have the id '\(request.id)'; each needs its own")
            }
            let record = request.record
            if record.bytes.count > Record.maximumSize {
                throw SheafError(
                    .invalid,
                    "request '\(request.id)' has \(record.bytes.count) bytes; the limit is \(Record.maximumSize)"
                )
            }
            records.append(record)
        }
        return records
    }
}
