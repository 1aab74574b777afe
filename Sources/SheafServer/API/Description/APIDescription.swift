import Hummingbird
import OrderedCollections
import SheafCore
import SheafFormats
import SheafSettings

/// The description of the API by OpenAPI 3.1: what each route takes, returns and refuses.
///
/// Words, bounds and sizes come from the code that checks them. Tests compare the routes and their parameters with those
/// of the server, and send requests that the description allows and that it forbids.
enum APIDescription {
    /// The operations of all routes but those for pages, in the order of the documentation.
    static let operations: [Operation] = [
        BatchRoutes.operations, CreateRoutes.operations, ControlRoutes.operations, JobRoutes.operations,
        ErrorRoutes.operations, ResultRoutes.operations, EventRoutes.operations, QuestionRoutes.operations,
        SubmissionRoutes.operations, RequestRoutes.operations,
        DeadLetterRoutes.operations, WorkerRoutes.operations, HealthRoutes.operations, MetricsRoute.operations,
        DescriptionRoute.operations,
    ].flatMap(\.self)

    private static let about = """
        Sheaf runs one task per record. A problem is reported as `application/problem+json` (RFC 9457). Each route for \
        GET also answers HEAD. A path that exists answers OPTIONS with 204, and any other method with 405; both have \
        `Allow` with the methods of the path. Unknown parameters of a query and unknown members of a body are refused \
        by name.
        """

    /// Returns the document.
    static func document(for options: ServerOptions) -> JSONValue {
        let hasTokens = !options.tokens.isEmpty
        var members: OrderedDictionary<String, JSONValue> = [
            "openapi": "3.1.0",
            "info": [
                "title": "Sheaf", "version": .string(SheafVersion.current), "description": .string(about),
                "license": ["name": "Apache 2.0", "identifier": "Apache-2.0"],
            ],
            // Without a public URL it is relative to that of the document, and thus right for any host and port.
            "servers": [["url": .string((options.publicURL ?? "") + (options.prefix.isEmpty ? "/" : options.prefix))]],
            "tags": .array(tags.map { ["name": .string($0)] }),
            "paths": paths(hasTokens: hasTokens),
        ]
        var components: OrderedDictionary<String, JSONValue> = [
            "schemas": .object(
                OrderedDictionary(uniqueKeysWithValues: Shape.allCases.map { ($0.rawValue, $0.schema.json) })
            ),
            "responses": ProblemAnswer.json,
        ]
        if hasTokens { components["securitySchemes"] = securitySchemes }
        members["components"] = .object(components)
        return .object(members)
    }

    private static var tags: OrderedSet<String> { OrderedSet(operations.map(\.tag)) }

    private static func paths(hasTokens: Bool) -> JSONValue {
        var paths: OrderedDictionary<String, JSONValue> = [:]
        for operation in operations {
            let method = operation.method.rawValue.lowercased()
            let item: JSONValue = .object([method: operation.json(hasTokens: hasTokens)])
            paths[operation.path] = (paths[operation.path] ?? [:]).adding(item)
        }
        return .object(paths)
    }

    private static let securitySchemes: JSONValue = [
        "bearer": [
            "type": "http", "scheme": "bearer",
            "description": "A token of the server's configuration, with the scope `read` or `write`.",
        ],
        "cookie": [
            "type": "apiKey", "in": "cookie", "name": .string(AccessControl.cookie),
            "description": "The token of a browser that has signed in.",
        ],
    ]
}

// MARK: Documentation

extension APIDescription {
    /// The table of all routes in the page on the API.
    static var table: String {
        let rows = operations.map { operation in
            let scope = operation.scope.map { "`\($0.rawValue)`" } ?? "none"
            return "| `\(operation.request)` | \(operation.summary) | \(scope) |\n"
        }
        return "| request | effect | scope |\n| --- | --- | --- |\n" + rows.joined()
    }
}

/// The route that returns the description.
struct DescriptionRoute {
    private let document: JSONValue

    init(_ options: ServerOptions) { document = APIDescription.document(for: options) }

    func register(on router: some RouterMethods<ServerContext>) {
        router.get("openapi.json") { request, context in
            try context.require(.read)
            _ = try QueryValues(request, allowed: [])
            return Response.tagged(document, for: request)
        }
    }
}
