import HTTPTypes
import OrderedCollections
import SheafCore
import SheafSettings

/// What the description of the API says about one route.
struct Operation: Sendable {
    /// The body of a request.
    struct Input: Sendable {
        /// The content by its media type.
        let content: KeyValuePairs<String, Schema>
        let about: String
        /// Whether a request without a body is valid.
        var isOptional = false
    }

    /// A parameter of the path, the query or the header.
    struct Parameter: Sendable {
        fileprivate enum Place: String { case path, query, header }

        fileprivate let place: Place
        let name: String
        fileprivate let schema: Schema
        fileprivate let about: String
        fileprivate let hasCommas: Bool
        /// Whether it is in the query.
        var isInQuery: Bool { place == .query }
    }

    /// A response that reports no problem.
    struct Answer: Sendable {
        fileprivate let status: Int
        fileprivate let about: String
        fileprivate let content: KeyValuePairs<String, Schema>
        fileprivate let headers: KeyValuePairs<String, Schema>
    }

    let method: HTTPRequest.Method
    /// The path from the root of the server, with names of parameters in braces.
    let path: String
    /// The name of the operation, for programs that generate clients.
    let id: String
    /// What it does, in one line.
    let summary: String
    /// The heading under which it is listed.
    let tag: String
    /// What else there is to know.
    var about: String?
    var parameters: [Parameter] = []
    var input: Input?
    var answers: [Answer]
    /// The statuses of problems beside those that every route has.
    var problems: [Int] = []
}

// MARK: Parts

extension Operation.Parameter {
    static func path(_ name: String, _ schema: Schema, _ about: String) -> Self {
        Self(place: .path, name: name, schema: schema, about: about, hasCommas: false)
    }

    /// A parameter of the query; if `hasCommas`, the elements of an array are joined with commas.
    static func query(_ name: String, _ schema: Schema, _ about: String, hasCommas: Bool = false) -> Self {
        Self(place: .query, name: name, schema: schema, about: about, hasCommas: hasCommas)
    }

    static func header(_ name: String, _ schema: Schema, _ about: String) -> Self {
        Self(place: .header, name: name, schema: schema, about: about, hasCommas: false)
    }

    fileprivate var json: JSONValue {
        var members: OrderedDictionary<String, JSONValue> = [
            "name": .string(name), "in": .string(place.rawValue), "description": .string(about),
        ]
        if place == .path { members["required"] = true }
        // A form of a browser sends fields that are not filled in; they count as missing.
        if place == .query, schema.isSingle { members["allowEmptyValue"] = true }
        if hasCommas {
            members["style"] = "form"
            members["explode"] = false
        }
        members["schema"] = schema.json
        return .object(members)
    }
}

extension Operation.Answer {
    /// A response with JSON.
    static func json(
        _ about: String,
        _ schema: Schema,
        status: Int = 200,
        headers: KeyValuePairs<String, Schema> = [:]
    ) -> Self {
        Self(status: status, about: about, content: ["application/json": schema], headers: headers)
    }

    /// A response with any content, or with none.
    static func other(
        _ about: String,
        _ content: KeyValuePairs<String, Schema> = [:],
        status: Int = 200,
        headers: KeyValuePairs<String, Schema> = [:]
    ) -> Self {
        Self(status: status, about: about, content: content, headers: headers)
    }

    var json: JSONValue {
        var members: OrderedDictionary<String, JSONValue> = ["description": .string(about)]
        if !headers.isEmpty {
            let fields = headers.map { name, schema in
                (name, ["required": .bool(!schema.isOptional), "schema": schema.json] as JSONValue)
            }
            members["headers"] = .object(OrderedDictionary(uniqueKeysWithValues: fields))
        }
        if !content.isEmpty { members["content"] = .described(content) { ["schema": $0] } }
        return .object(members)
    }
}

extension Operation.Input {
    /// A JSON object.
    static func json(_ schema: Schema, _ about: String, isOptional: Bool = false) -> Self {
        Self(content: ["application/json": schema], about: about, isOptional: isOptional)
    }

    fileprivate var json: JSONValue {
        [
            "description": .string(about), "required": .bool(!isOptional),
            "content": .described(content) { ["schema": $0] },
        ]
    }
}

extension JSONValue {
    /// An object whose members are made from schemas.
    fileprivate static func described(
        _ schemas: KeyValuePairs<String, Schema>,
        _ make: (JSONValue) -> JSONValue
    ) -> JSONValue {
        .object(OrderedDictionary(uniqueKeysWithValues: schemas.map { ($0.key, make($0.value.json)) }))
    }
}

// MARK: The whole

extension Operation {
    /// The method and the path.
    var request: String { "\(method.rawValue) \(path)" }

    /// The scope that a token needs, by the rule of ``AccessMiddleware``; nil if no token is needed.
    var scope: AccessScope? {
        if AccessMiddleware.openPaths.contains(path) { return nil }
        return AccessMiddleware.safeMethods.contains(method) ? .read : .write
    }

    /// Returns the operation as it is served.
    ///
    /// - Parameter hasTokens: Whether the server asks for tokens.
    func json(hasTokens: Bool) -> JSONValue {
        var members: OrderedDictionary<String, JSONValue> = [
            "operationId": .string(id), "summary": .string(summary), "tags": [.string(tag)],
        ]
        if let about { members["description"] = .string(about) }
        if !parameters.isEmpty { members["parameters"] = .array(parameters.map(\.json)) }
        if let input { members["requestBody"] = input.json }
        var responses: OrderedDictionary<String, JSONValue> = [:]
        for answer in answers { responses[String(answer.status)] = answer.json }
        for status in Self.commonProblems(scope) + problems.map(String.init) where responses[status] == nil {
            responses[status] = ProblemAnswer.reference(status)
        }
        responses.sort { $0.key < $1.key }
        members["responses"] = .object(responses)
        if let scope, hasTokens {
            members["security"] = [["bearer": [.string(scope.rawValue)]], ["cookie": [.string(scope.rawValue)]]]
        }
        return .object(members)
    }

    /// The statuses of problems that any route may have.
    private static func commonProblems(_ scope: AccessScope?) -> [String] {
        let access =
            switch scope {
            case nil: [String]()
            case .read: ["401", "421"]
            case .write: ["401", "403", "421"]
            }
        return ["400", "408", "431", "5XX"] + access
    }
}
