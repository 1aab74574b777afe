import Hummingbird
import OrderedCollections
import SheafCore
import SheafFormats

/// The members of a request's JSON body; those that a route does not know are refused by name.
struct RequestMembers {
    private let members: OrderedDictionary<String, JSONValue>

    /// Reads the body; an empty one has no members.
    ///
    /// - Throws: `Problem` if the body is not an object or has an unknown member, and the errors of `Request.json()`.
    init(_ request: Request, knowing names: [String]) async throws {
        try self.init(try await request.json(), of: "the body", knowing: names)
    }

    /// Reads an object; `place` names it in messages.
    init(_ value: JSONValue, of place: String, knowing names: [String]) throws {
        guard let object = value.objectValue else { throw Problem(.usage, "\(place) must be a JSON object") }
        if let unknown = object.keys.first(where: { !names.contains($0) }) {
            let known = names.isEmpty ? "none is allowed here" : "known members: \(names.joined(separator: ", "))"
            throw Problem(.usage, "unknown member '\(unknown)' in \(place); \(known)")
        }
        members = object
    }

    /// A member, or nil if there is none; null is a value.
    subscript(_ name: String) -> JSONValue? { members[name] }

    /// Whether there are no members.
    var isEmpty: Bool { members.isEmpty }

    /// A member as true or false; false if it is missing or null.
    func flag(_ name: String) throws -> Bool {
        guard let value = members[name], value != .null else { return false }
        guard let flag = value.boolValue else { throw Problem(.usage, "member '\(name)' must be true or false") }
        return flag
    }

    /// A member as a string, or nil if it is missing or null.
    func text(_ name: String) throws -> String? {
        guard let value = members[name], value != .null else { return nil }
        guard let text = value.stringValue else { throw Problem(.usage, "member '\(name)' must be a string") }
        return text
    }
}
