import HTTPTypes
import Hummingbird
import NIOCore
import SheafCore

extension Request {
    /// Reads a JSON body of up to 8 MiB; an empty body is an empty object.
    ///
    /// - Throws: `HTTPError` with 400 if it is no JSON, 413 if it is larger, and 415 if it is of another type.
    func json() async throws -> JSONValue {
        if let type = headers[.contentType], MediaType(from: type)?.isType(.applicationJson) != true {
            throw HTTPError(.unsupportedMediaType, message: "the body must be application/json, not \(type)")
        }
        let bytes = try await bytes(upTo: ServerContext.maximumBody)
        if bytes.isEmpty { return [:] }
        do {
            return try JSON.parse(bytes)
        } catch {
            throw HTTPError(.badRequest, message: "the body is not valid JSON: \(error)")
        }
    }

    /// Reads the whole body.
    ///
    /// - Throws: `HTTPError` with 413 if it is larger than the limit.
    func bytes(upTo limit: Int) async throws -> [UInt8] {
        do {
            return Array(buffer: try await body.collect(upTo: limit))
        } catch is NIOTooManyBytesError {
            throw HTTPError(.contentTooLarge, message: "the body is larger than \(limit) bytes")
        }
    }
}
