import OrderedCollections
import SheafCore
import SheafFlows

/// What a submission is found by, as it is kept with the lease on its tasks.
///
/// - With a key only, nothing was created: the submission is prepared (again).
/// - With a preparation, the submission may have been created: it is looked for before it is created.
/// - With the provider's id, it was created.
package struct SubmissionMemo: Sendable, Equatable {
    /// A submission whose results were read.
    struct Earlier: Sendable, Equatable {
        var key: String
        var id: String
    }

    /// The most earlier submissions that a memo has room for.
    static let maximumEarlier = 16

    private static let version = 1

    /// The address of the service.
    var address: String
    /// Our name of the submission.
    var key = Self.newKey()
    /// What the submission is created from and found by.
    var preparation: Preparation?
    /// How many requests were prepared.
    var requests = 0
    /// The provider's id of the submission.
    var id: String?
    /// How many submissions in a row have left requests without a result.
    var misses = 0
    /// The submissions before this one, whose results may not have been stored yet.
    var earlier: [Earlier] = []

    init(address: String) { self.address = address }

    /// Reads a memo; returns nil if it is of another version.
    init?(_ memo: BulkMemo) {
        guard let json = memo.json, json["version"]?.intValue == Self.version, let key = json["key"]?.stringValue,
            let address = json["address"]?.stringValue
        else { return nil }
        self.address = address
        self.key = key
        preparation = json["file"]?.stringValue.map {
            Preparation(
                id: $0,
                createdAt: min(max(0, json["uploaded"]?.intValue ?? 0), 1 << 40),
                model: json["model"]?.stringValue ?? ""
            )
        }
        requests = max(0, json["requests"]?.intValue ?? 0)
        id = json["id"]?.stringValue
        misses = min(max(0, json["misses"]?.intValue ?? 0), Self.maximumEarlier)
        earlier = (json["earlier"]?.arrayValue ?? []).compactMap { entry in
            guard let key = entry["key"]?.stringValue, let id = entry["id"]?.stringValue else { return nil }
            return Earlier(key: key, id: id)
        }
    }

    var bulkMemo: BulkMemo {
        get throws(FlowError) {
            var json: OrderedDictionary<String, JSONValue> = [
                "version": .integer(Self.version), "address": .string(address), "key": .string(key),
            ]
            if let preparation {
                json["file"] = .string(preparation.id)
                json["uploaded"] = .integer(preparation.createdAt)
                if !preparation.model.isEmpty { json["model"] = .string(preparation.model) }
            }
            if requests > 0 { json["requests"] = .integer(requests) }
            if let id { json["id"] = .string(id) }
            if misses > 0 { json["misses"] = .integer(misses) }
            if !earlier.isEmpty {
                json["earlier"] = .array(earlier.map { ["key": .string($0.key), "id": .string($0.id)] })
            }
            return try BulkMemo(.object(json))
        }
    }

    /// Turns to a new submission; the present one is kept in mind if it has results.
    mutating func renew(keepingResults: Bool) {
        if let id, keepingResults { earlier.append(Earlier(key: key, id: id)) }
        (key, preparation, requests, id) = (Self.newKey(), nil, 0, nil)
    }

    /// Turns to a submission that was made by other means.
    mutating func adopt(_ id: String, requests: Int) {
        (key, self.id, self.requests) = ("\(Self.adopted)\(Self.newKey())", id, requests)
    }

    /// Whether the submission was made by other means: its requests have the names of the tasks' records.
    var isAdopted: Bool { Self.isAdopted(key) }

    static func isAdopted(_ key: String) -> Bool { key.hasPrefix(adopted) }

    private static let adopted = "adopted-"

    /// Returns the name of a task's request in a submission.
    static func requestID(_ key: String, _ index: Int) -> String { "\(key)_\(index)" }

    /// Returns the key of the submission that a request's name belongs to; nil if the name is not one of ours.
    static func key(of requestID: String) -> String? {
        guard let end = requestID.lastIndex(of: "_"), Int(requestID[end...].dropFirst()) != nil else { return nil }
        return String(requestID[..<end])
    }

    /// Returns the index of the task that a request's name in a submission stands for.
    static func index(of requestID: String, _ key: String) -> Int? {
        guard requestID.hasPrefix("\(key)_") else { return nil }
        return Int(requestID.dropFirst(key.count + 1))
    }

    private static func newKey() -> String {
        "sheaf" + (0..<2).map { _ in String(UInt64.random(in: .min ... .max), radix: 36) }.joined()
    }
}
