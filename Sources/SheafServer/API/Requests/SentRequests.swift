import HTTPTypes
import Hummingbird
import SheafCore
import SheafDispatch
import SheafSources

/// The requests in the body of an HTTP request.
struct SentRequests: Sendable {
    /// The requests; the id of one without an id of its own is empty.
    var records: [Record]
    /// Whether the body is one JSON object.
    var isOne = false

    /// The most requests in one body.
    static let maximumCount = 10_000
    /// How many records that cannot be read are reported.
    private static let mostComplaints = 5

    /// Reads a body: an object is one request, and the elements of an array, or the records of lines and rows, are many.
    ///
    /// - Throws: `HTTPError` with 400 (no valid JSON), 413, 415 or 422 (a record that cannot be a request).
    static func read(_ request: Request, format: SourceFormat?, idField: String?) async throws -> SentRequests {
        let type = try Submission.mediaType(of: request)
        let known = format ?? Submission.formats[type]
        guard type.isEmpty || known != nil else {
            throw HTTPError(
                .unsupportedMediaType,
                message: "the body's type '\(type)' names no format of requests; it must be one of "
                    + "\(Submission.formats.keys.sorted().joined(separator: ", ")), or 'format' must be in the query"
            )
        }
        let bytes = try await request.bytes(upTo: ServerContext.maximumBody)
        if let length = request.headers[.contentLength].flatMap({ Int($0) }), length != bytes.count {
            throw HTTPError(.badRequest, message: "the body ended early, so nothing was added")
        }
        let sent =
            if known == nil || known == .json {
                try json(bytes, idField)
            } else {
                try await records(bytes, known, idField)
            }
        if sent.records.isEmpty { throw refused("there are no requests in the body") }
        if sent.records.count > maximumCount {
            throw HTTPError(.contentTooLarge, message: "the body has more than \(maximumCount) requests")
        }
        return sent
    }

    private static func json(_ bytes: [UInt8], _ idField: String?) throws -> SentRequests {
        let first = bytes.first { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }
        do {
            switch first {
            case UInt8(ascii: "{"):
                try JSON.validate(bytes)
                return SentRequests(records: try decode([bytes[...]], idField), isOne: true)
            case UInt8(ascii: "["):
                try JSON.validate(bytes)
                return SentRequests(records: try decode(try JSON.elements(of: bytes).map { bytes[$0] }, idField))
            default:
                throw HTTPError(
                    .badRequest,
                    message: "the body must be a JSON object, which is one request, or an array of requests"
                )
            }
        } catch let error as JSONError {
            throw HTTPError(.badRequest, message: "the body is not valid JSON: \(error)")
        }
    }

    private static func decode(_ values: [ArraySlice<UInt8>], _ idField: String?) throws -> [Record] {
        try values.enumerated().map { index, value in
            switch Record.decode(json: Array(value), idField: idField) {
            case .record(let record): return record
            case .invalid(let message): throw refused("request \(index) \(message)")
            }
        }
    }

    /// Reads lines or rows by the rules for files.
    private static func records(
        _ bytes: [UInt8],
        _ format: SourceFormat?,
        _ idField: String?
    ) async throws -> SentRequests {
        let spool = try Spool()
        try await spool.append(bytes)
        let configuration = SourceConfiguration(inputs: ["-"], format: format, idField: idField, shuffle: false)
        let source = try await RecordSource.open(configuration, spooled: await spool.finish())
        var records: [Record] = []
        var complaints: [String] = []
        for try await chunk in source.chunks() {
            for item in chunk {
                switch item.content {
                case .record(var record):
                    if record.id == item.place { record.id = "" }
                    records.append(record)
                case .invalid(let message): complaints.append("\(item.place): \(message)")
                }
            }
            if records.count > maximumCount || complaints.count >= mostComplaints { break }
        }
        if !complaints.isEmpty { throw refused(complaints.prefix(mostComplaints).joined(separator: "; ")) }
        return SentRequests(records: records)
    }

    static func refused(_ message: String) -> HTTPError {
        HTTPError(.unprocessableContent, message: "\(message); nothing was added")
    }

    /// Gives ids to the requests that have none, and checks all.
    ///
    /// - Returns: Whether the ids were chosen by the sender.
    mutating func assignIDs(of dispatcher: Name, key: IdempotencyKey?) throws -> Bool {
        let isNamed = records.contains { !$0.id.isEmpty }
        if let key {
            guard records.count == 1, !isNamed else {
                throw Self.refused(
                    "an Idempotency-Key is for one request without an id; requests with ids can be repeated without it"
                )
            }
            records[0].id = "\(dispatcher).\(key.batch)"
        }
        for index in records.indices where records[index].id.isEmpty {
            records[index].id = RequestID.random(in: dispatcher)
        }
        do {
            for record in records { try RequestID.check(record) }
        } catch {
            throw Self.refused(error.message)
        }
        return isNamed || key != nil
    }
}
