package import SheafCore
package import SheafSources

/// The field of requests that keeps them apart: only requests with the same value share a batch.
package struct RequestKey: Sendable, Hashable {
    /// The name of the field.
    package let field: String

    /// The largest value in bytes; it must fit into a tag of the batch.
    package static let maximumSize = 256

    package init(_ field: String) { self.field = field }

    /// Returns the value of a request, or why it has none.
    package func value(of request: Record) -> Result<String, RequestProblem> {
        guard request.kind == .json else { return .failure(missing("it is not JSON")) }
        do {
            guard let value = try JSON.members([field], of: request.bytes)[field] else {
                return .failure(missing("it is missing"))
            }
            let text: String
            switch value {
            case .string(let string): text = string
            case .number, .bool: text = value.text
            case .null, .array, .object: return .failure(missing("it is no string, number or flag"))
            }
            if text.utf8.count > Self.maximumSize {
                return .failure(missing("it has more than \(Self.maximumSize) bytes"))
            }
            return .success(text)
        } catch {
            return .failure(RequestProblem(message: "the request is not JSON: \(error)"))
        }
    }

    private func missing(_ reason: String) -> RequestProblem {
        RequestProblem(message: "the request cannot be assigned by its field '\(field)': \(reason)")
    }
}

/// Why a request cannot become a task.
package struct RequestProblem: Error, Sendable, Equatable {
    package let message: String
}

extension Record {
    /// Returns the item of a request whose id an earlier request with other content has.
    package func conflict(index: Int) -> SourceItem {
        SourceItem(index: index, place: id, content: .invalid(message: Self.conflictMessage(id)))
    }

    fileprivate static func conflictMessage(_ id: String) -> String {
        "an earlier request with the id '\(id)' has other content"
    }

    /// Returns the item of a request in a group: the record, or why it is none.
    package func item(index: Int, key: RequestKey?) -> SourceItem {
        if let key, case .failure(let problem) = key.value(of: self) {
            return SourceItem(index: index, place: id, content: .invalid(message: problem.message))
        }
        return SourceItem(index: index, place: id, content: .record(self))
    }
}

extension Outcome {
    /// Whether it is that of a request whose id an earlier request with other content has, so it answers none.
    var isConflict: Bool {
        guard let error, error.type == Outcome.Failure.invalidRecord else { return false }
        return error.message.hasSuffix(Record.conflictMessage(recordID))
    }
}
