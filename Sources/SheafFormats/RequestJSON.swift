import SheafBatches
package import SheafCore
package import SheafDispatch

// The JSON objects of requests and of the queues in which they wait.

extension RequestAnswer {
    /// The state as one word: `waiting`, `dispatched`, or how the task ended.
    package var state: String {
        switch self {
        case .waiting: "waiting"
        case .dispatched: "dispatched"
        case .ended(_, let outcome): outcome.status.rawValue
        case .cancelled: Outcome.Status.cancelled.rawValue
        }
    }

    /// The batch, or nil if the request waits for one.
    package var batch: Name? {
        switch self {
        case .waiting: nil
        case .dispatched(let batch), .ended(let batch, _), .cancelled(let batch): batch
        }
    }

    /// The answer as the JSON object of a request.
    package func json(id: String) -> JSONValue {
        var (index, output, error): (JSONValue, JSONValue, JSONValue) = (.null, .null, .null)
        if case .ended(_, let outcome) = self {
            index = .integer(outcome.index)
            if let bytes = outcome.output { output = (try? JSON.parse(bytes)) ?? .null }
            error = outcome.error?.json ?? .null
        }
        return [
            "id": .string(id), "state": .string(state), "batch_id": .optional(batch?.text), "index": index,
            "output": output, "error": error,
        ]
    }
}

extension WaitingRequests {
    /// The requests as the JSON object of a dispatcher.
    package func json(name: Name, flow: Name) -> JSONValue {
        [
            "name": .string(name.text), "flow": .string(flow.text), "waiting": .integer(count),
            "bytes": .integer(bytes), "oldest": .optional(oldest?.description),
        ]
    }
}
