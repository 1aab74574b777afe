import OrderedCollections

/// An entry of the log of submissions: what happened to a job of a provider, or what a user wants to happen to it.
package struct SubmissionEntry: Sendable, Equatable {
    package enum Event: Sendable, Equatable {
        /// The requests are uploaded next; `address` is that of the service.
        case announced(address: String)
        /// The submission has about so many tokens of a model, for which it waits until the provider has room.
        case reserved(tokens: Int, model: String)
        /// The submission waits; the reason is for people.
        case waiting(String)
        /// The submission is created next; `file` is the provider's id of the requests, nil if it takes no files.
        case uploaded(file: String?, requests: Int)
        /// The submission has an id of the provider, who works on `requests` of the batch's tasks.
        case created(id: String, requests: Int)
        /// The provider reports this number of results so far.
        case counted(Int)
        /// The submission may exist, but cannot be found; the reason is for people.
        case unclear(String)
        /// The submission has ended, and its results were read.
        case ended(answered: Int, missing: Int, usage: Usage)
        /// The provider refused the submission as a whole.
        case refused(String)
        /// The provider no longer has the submission or its results.
        case lost(String)
        /// A worker asked the provider to cancel the submission, since its results are no longer wanted.
        case discarded
        /// A worker cannot follow the decision about an unclear submission; the reason is for people.
        case rejected(String)
        /// A worker has followed the decision that the submission does not exist.
        case dropped
        /// A user wants the provider to end the submission.
        case cancelRequested
        /// A user has decided which submission of the provider an unclear one is; nil if it was not created.
        case resolved(id: String?)

        package var type: String {
            switch self {
            case .announced: "announced"
            case .reserved: "reserved"
            case .waiting: "waiting"
            case .uploaded: "uploaded"
            case .created: "created"
            case .counted: "counted"
            case .unclear: "unclear"
            case .ended: "ended"
            case .refused: "refused"
            case .lost: "lost"
            case .discarded: "discarded"
            case .rejected: "rejected"
            case .dropped: "dropped"
            case .cancelRequested: "cancel"
            case .resolved: "resolved"
            }
        }
    }

    /// The maximum length of a key, an id, an address or a file in bytes.
    package static let longestID = 512
    private static let longestMessage = 1_000
    private static let mostTokens = 1 << 48

    /// Our name of the submission.
    package var key: String
    package var batch: Name
    package var flow: Name
    /// The id of the bulk whose tasks it has; nil in an entry of a user.
    package var bulk: String?
    /// When the event happened, by the writer's clock.
    package var at: Timestamp
    /// The writer: the name of a worker or of a user.
    package var by: String
    package var event: Event

    package init(
        key: String,
        batch: Name,
        flow: Name,
        bulk: String? = nil,
        at: Timestamp,
        by: String,
        event: Event
    ) {
        self.key = key
        self.batch = batch
        self.flow = flow
        self.bulk = bulk
        self.at = at
        self.by = by
        self.event = event
    }

    /// Encodes the entry for the log of submissions.
    package var message: Message {
        var body: OrderedDictionary<String, JSONValue> = [
            "key": .string(key), "batch": .string(batch.text), "flow": .string(flow.text),
            "bulk": .optional(bulk), "at": .string(at.description), "by": .string(by),
        ]
        switch event {
        case .announced(let address): body["address"] = .string(address)
        case .reserved(let tokens, let model):
            body["tokens"] = .integer(tokens)
            body["model"] = .string(model)
        case .uploaded(let file, let requests):
            body["file"] = .optional(file)
            body["requests"] = .integer(requests)
        case .created(let id, let requests):
            body["id"] = .string(id)
            body["requests"] = .integer(requests)
        case .counted(let results): body["results"] = .integer(results)
        case .waiting(let message), .unclear(let message), .refused(let message), .lost(let message),
            .rejected(let message):
            body["message"] = .string(String(message.prefix(Self.longestMessage)))
        case .ended(let answered, let missing, let usage):
            body["answered"] = .integer(answered)
            body["missing"] = .integer(missing)
            body["usage"] = usage.json
        case .resolved(let id): body["id"] = .optional(id)
        case .discarded, .dropped, .cancelRequested: break
        }
        return Message(type: event.type, contentType: "application/json", body: JSONValue.object(body).bytes)
    }

    /// Decodes an entry; returns nil if the message is not one.
    package init?(_ message: Message) {
        guard message.body.count <= 64 << 10, let body = try? JSON.parse(message.body),
            let key = Self.id(body["key"]), let batch = body["batch"]?.stringValue.flatMap({ Name($0) }),
            let flow = body["flow"]?.stringValue.flatMap({ Name($0) }),
            let at = body["at"]?.stringValue.flatMap({ Timestamp($0) }), let event = Self.event(message.type, body)
        else { return nil }
        self.init(
            key: key,
            batch: batch,
            flow: flow,
            bulk: Self.id(body["bulk"]),
            at: at,
            by: Self.id(body["by"]) ?? "",
            event: event
        )
    }

    private static func event(_ type: String, _ body: JSONValue) -> Event? {
        let message = String((body["message"]?.stringValue ?? "").prefix(longestMessage))
        switch type {
        case "announced": return id(body["address"]).map { .announced(address: $0) }
        case "reserved":
            let tokens = min(max(0, body["tokens"]?.intValue ?? 0), mostTokens)
            return id(body["model"]).map { .reserved(tokens: tokens, model: $0) }
        case "waiting": return .waiting(message)
        case "uploaded": return .uploaded(file: id(body["file"]), requests: count(body["requests"]))
        case "created": return id(body["id"]).map { .created(id: $0, requests: count(body["requests"])) }
        case "counted": return .counted(count(body["results"]))
        case "unclear": return .unclear(message)
        case "ended":
            return .ended(
                answered: count(body["answered"]),
                missing: count(body["missing"]),
                usage: Usage(json: body["usage"])
            )
        case "refused": return .refused(message)
        case "lost": return .lost(message)
        case "rejected": return .rejected(message)
        case "discarded": return .discarded
        case "dropped": return .dropped
        case "cancel": return .cancelRequested
        case "resolved":
            if body["id"] == .null { return .resolved(id: nil) }
            return id(body["id"]).map { .resolved(id: $0) }
        default: return nil
        }
    }

    private static func id(_ json: JSONValue?) -> String? {
        json?.stringValue.flatMap { (1...longestID).contains($0.utf8.count) ? $0 : nil }
    }

    private static func count(_ json: JSONValue?) -> Int {
        min(max(0, json?.intValue ?? 0), BatchState.maximumTasks)
    }
}
