import OrderedCollections
import SheafCore

/// The responses that report a problem (RFC 9457), by their status.
enum ProblemAnswer {
    private static let causes: KeyValuePairs<String, String> = [
        "400": "The request is invalid: its path, a parameter, a header or a member of its body. `detail` names it.",
        "401": "The request has no valid token.",
        "403": "The token has the scope `read` only, or a page of another site made a browser send the request.",
        "404": "There is nothing at this path: the batch, task or dead letter does not exist.",
        "408": "The request arrives too slowly.",
        "409": "The state of the batch, question or dead letter does not allow the request.",
        "413": "The body is too large.",
        "415": "The body is of a type that the route does not take.",
        "421": "The server does not serve the host of the request.",
        "422": "The request is valid, but its options or records are refused. `detail` names them.",
        "429": "Too many requests wait in the queue.",
        "431": "The header is too large.",
        "5XX": "The server (500) or the broker (502, 503, 504) failed, or there are too many connections (503).",
    ]

    /// The headers that some of them have.
    private static let headers: [String: KeyValuePairs<String, Schema>] = [
        "401": ["WWW-Authenticate": Schema.string.about("The scheme of the token: `Bearer`.")],
        "403": ["WWW-Authenticate": Schema.string.optional.about("The scope that the token lacks.")],
        "409": ["Retry-After": Schema.integer().optional.about("Seconds after which the request may be repeated.")],
        "429": ["Retry-After": Schema.integer(1...60).about("Seconds after which the request may be repeated.")],
        "5XX": ["Retry-After": Schema.integer().optional.about("Seconds after which the request may be repeated.")],
    ]

    /// Returns a link to the response with a status.
    static func reference(_ status: String) -> JSONValue {
        precondition(causes.contains { $0.key == status }, "no problem with the status \(status) is described")
        return ["$ref": .string("#/components/responses/Problem\(status)")]
    }

    /// All responses, as they are served.
    static var json: JSONValue {
        .object(
            OrderedDictionary(
                uniqueKeysWithValues: causes.map { status, cause in ("Problem\(status)", json(status, cause)) }
            )
        )
    }

    private static func json(_ status: String, _ cause: String) -> JSONValue {
        Operation.Answer.other(
            cause,
            ["application/problem+json": .shape(.problem)],
            headers: headers[status] ?? [:]
        ).json
    }
}
