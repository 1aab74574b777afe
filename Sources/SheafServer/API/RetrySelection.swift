import Hummingbird
import SheafBatches
import SheafCore
import SheafFormats

/// Which tasks a retry runs again: all that failed, some of them by their numbers or by a filter, or those that the
/// broker lost.
enum RetrySelection: Equatable {
    /// All failed tasks.
    case all
    /// The tasks with these numbers.
    case indexes(IndexRanges)
    /// The failed tasks that match a query.
    case matching(TaskQuery)
    /// The tasks that the broker lost; with `isForced`, also those that may not be lost.
    case missing(isForced: Bool)

    /// Reads the body of a request.
    init(_ request: Request) async throws {
        try self.init(try await RequestMembers(request, knowing: ["indexes", "filter", "missing", "force"]))
    }

    /// Reads the members of a body; one without members selects all failed tasks.
    init(_ members: RequestMembers) throws {
        let isForced = try members.flag("force")
        if try members.flag("missing") {
            if members["indexes"] != nil || members["filter"] != nil {
                throw Problem(.usage, "missing cannot be combined with indexes or filter")
            }
            self = .missing(isForced: isForced)
            return
        }
        if isForced { throw Problem(.usage, "force needs \"missing\": true") }
        switch (members["indexes"], members["filter"]) {
        case (nil, nil): self = .all
        case (let value?, nil): self = .indexes(try Self.ranges(value))
        case (nil, let value?):
            let filter = try RequestMembers(value, of: "filter", knowing: ["status", "error_type", "group", "q"])
            let status = try filter.text("status")
            guard status == "failed" else {
                let given = status.map { "'\($0)'" } ?? "missing"
                throw Problem(.usage, "the status in filter is \(given); only 'failed' tasks can be retried")
            }
            var query = TaskQuery()
            query.statuses = [.failed]
            query.errorType = try filter.text("error_type")
            query.group = try filter.text("group")
            query.text = try filter.text("q")
            self = .matching(query)
        case (_?, _?): throw Problem(.usage, "the body has both indexes and filter; give one of them")
        }
    }

    /// Reads numbers and ranges such as `[3, "7-9"]`, or a string such as `"3,7-9"`.
    private static func ranges(_ value: JSONValue) throws -> IndexRanges {
        let parts = (value.arrayValue ?? [value]).map { part in
            part.stringValue ?? part.intValue.map(String.init) ?? ""
        }
        guard !parts.isEmpty, let ranges = IndexRanges(parts.joined(separator: ",")) else {
            throw Problem(.usage, "indexes must be a list of task numbers and ranges, such as [3, \"7-9\"], not empty")
        }
        return ranges
    }

    /// The failed tasks to retry, or nil for all.
    func indexes(of batch: String, _ tasks: TaskDirectory) async throws -> IndexRanges? {
        switch self {
        case .all, .missing: nil
        case .indexes(let ranges): ranges
        case .matching(let query): try await tasks.indexes(of: batch, matching: query)
        }
    }
}
