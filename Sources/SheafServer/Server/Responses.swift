import HTTPTypes
import Hummingbird
import NIOCore
import NIOHTTP1
import OrderedCollections
import SheafCore
import SheafFormats

extension Response {
    /// Creates a response with a JSON value as its body.
    static func json(
        _ value: JSONValue,
        status: HTTPResponse.Status = .ok,
        type: String = "application/json",
        headers: HTTPFields = [:]
    ) -> Response {
        var fields = headers
        fields[.contentType] = type
        let body = ByteBuffer(string: value.text + "\n")
        fields[.contentLength] = String(body.readableBytes)
        return Response(status: status, headers: fields, body: ResponseBody(byteBuffer: body))
    }

    /// Creates a response that reports a problem (RFC 9457).
    ///
    /// - Parameters:
    ///   - problem: The problem.
    ///   - prefix: The prefix of links, from the context.
    static func problem(_ problem: Problem, prefix: String = "") -> Response {
        .problem(
            problem.kind.status,
            problem.message,
            type: "urn:sheaf:problem:\(problem.kind)",
            next: problem.advice?.nextRequest(prefix: prefix)
        )
    }

    /// Creates a response that reports a problem (RFC 9457) by its status alone.
    ///
    /// - Parameters:
    ///   - status: The status; its phrase is the title.
    ///   - detail: What failed, on what, and why.
    ///   - type: The URI of the kind of problem.
    ///   - next: What to do next, if there is anything to add.
    static func problem(
        _ status: HTTPResponse.Status,
        _ detail: String,
        type: String = "about:blank",
        next: String? = nil,
        headers: HTTPFields = [:]
    ) -> Response {
        var members: OrderedDictionary<String, JSONValue> = [
            "type": .string(type), "title": .string(status.reasonPhrase), "status": .integer(status.code),
            "detail": .string(detail),
        ]
        members["next"] = next.map(JSONValue.string)
        return json(.object(members), status: status, type: "application/problem+json", headers: headers)
    }
}

extension Problem.Kind {
    /// The status of a response that reports such a problem, with its phrase.
    var status: HTTPResponse.Status {
        let known = HTTPResponseStatus(statusCode: httpStatus)
        return HTTPResponse.Status(code: httpStatus, reasonPhrase: known.reasonPhrase)
    }
}
