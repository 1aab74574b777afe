import HTTPTypes
import Hummingbird
import NIOCore
import SheafCore
import SheafFormats
import SheafSources

/// A request that creates a batch, after its body has arrived in full: the options and the records.
struct Submission: Sendable {
    var options: CreationOptions
    /// The records; nil if the flow's own source is wanted.
    var records: SpooledInput?
    /// The format of the records that the type or the name of the upload says; nil if neither says one.
    var format: SourceFormat?
    /// What the records are called in the batch's description for people.
    var name = "an HTTP request"

    /// A digest of the options and the records, by which a repeat of the request is recognized.
    var digest: String {
        SourceConfiguration.digest(of: [
            options.canonical.text, format?.rawValue ?? "", records?.digest ?? "", "\(records?.size ?? -1)",
        ])
    }

    /// The largest JSON body, whose records are held in memory.
    static let largestJSON = 8 << 20
    private static let largestFields = 1 << 20

    /// The formats of uploads by media type.
    static let formats: [String: SourceFormat] = [
        "application/jsonl": .jsonl, "application/x-ndjson": .jsonl, "application/x-jsonlines": .jsonl,
        "application/json": .json, "text/csv": .csv, "text/tab-separated-values": .tsv, "text/plain": .lines,
    ]
}

extension Submission {
    /// Reads a request; `check` is called with the options as soon as they are known.
    ///
    /// - Throws: `HTTPError` with 400 (the body is broken), 413, 415 or 422 (an option is refused).
    static func read(_ request: Request, check: (CreationOptions) throws -> Void) async throws -> Submission {
        let query = try CreationOptions.members(
            of: request.uri.queryParameters.map { (String($0.key), String($0.value)) }
        )
        var body = ArrivingBody(request)
        let header = request.headers[.contentType] ?? ""
        let type = try mediaType(of: request)
        if type == "multipart/form-data" {
            return try await form(header, query, &body, check)
        }
        // An array is an upload of records, an object holds options.
        if type.isEmpty || type == "application/json", try await body.firstByte() != UInt8(ascii: "[") {
            return try await object(query, &body, check)
        }
        guard formats[type] != nil || query.contains(where: { $0.name == "format" }) else {
            throw HTTPError(
                .unsupportedMediaType,
                message: "the body's type '\(type)' names no format of records; it must be multipart/form-data or one "
                    + "of \(formats.keys.sorted().joined(separator: ", ")), or 'format' must be in the query"
            )
        }
        let options = try CreationOptions(query)
        try check(options)
        let spool = try Spool()
        while let bytes = try await body.next() { try await spool.append(bytes) }
        return Submission(options: options, records: await spool.finish(), format: formats[type])
    }

    /// Reads a JSON object with options and perhaps records.
    private static func object(
        _ query: [(name: String, value: JSONValue)],
        _ body: inout ArrivingBody,
        _ check: (CreationOptions) throws -> Void
    ) async throws -> Submission {
        var bytes: [UInt8] = []
        while let more = try await body.next() {
            bytes += more
            if bytes.count > largestJSON {
                throw HTTPError(
                    .contentTooLarge,
                    message:
                        "the JSON body is larger than \(largestJSON) bytes; upload the records as JSONL or CSV instead"
                )
            }
        }
        var members = query
        var records: Range<Int>?
        if bytes.contains(where: { !isSpace($0) }) {
            do {
                for (name, range) in try JSON.slices(of: bytes) {
                    if name != "records" {
                        members.append((name, try JSON.parse(Array(bytes[range]))))
                    } else if records != nil {
                        throw CreationOptions.refusal(name, "it is given twice")
                    } else {
                        records = range
                    }
                }
            } catch let error as JSONError {
                throw HTTPError(.badRequest, message: "the body is not a valid JSON object: \(error)")
            }
        }
        var submission = Submission(options: try CreationOptions(members))
        try check(submission.options)
        if let records, Array(bytes[records]) != Array("null".utf8) {
            if submission.options.choices.format != nil {
                throw CreationOptions.refusal("format", "it cannot be combined with 'records'")
            }
            submission.records = try await inline(Array(bytes[records]))
            submission.format = .jsonl
        }
        return submission
    }

    /// Writes each element of an array as a line, with its bytes as they are but for line breaks between tokens.
    private static func inline(_ array: [UInt8]) async throws -> SpooledInput {
        guard let elements = try? JSON.elements(of: array) else {
            throw CreationOptions.refusal("records", "it must be an array")
        }
        let spool = try Spool()
        for element in elements {
            let line = array[element].map { $0 == 0x0A || $0 == 0x0D ? 0x20 : $0 }
            try await spool.append(line + [0x0A])
        }
        return await spool.finish()
    }

    /// Reads a form with a file and options.
    private static func form(
        _ header: String,
        _ query: [(name: String, value: JSONValue)],
        _ body: inout ArrivingBody,
        _ check: (CreationOptions) throws -> Void
    ) async throws -> Submission {
        guard var parser = MultipartParser(contentType: header) else {
            throw HTTPError(.badRequest, message: "the Content-Type names no valid boundary")
        }
        var fields: [(name: String, text: String)] = []
        var (part, text, size): (MultipartParser.Part?, [UInt8], Int) = (nil, [], 0)
        var (file, spool): (MultipartParser.Part?, Spool?)
        while let bytes = try await body.next() {
            for event in try parser.feed(bytes) {
                switch event {
                case .begin(let next):
                    (part, text) = (next, [])
                    guard let name = next.filename, !name.isEmpty else { continue }
                    if file != nil { throw CreationOptions.refusal("file", "the form has more than one file") }
                    (file, spool) = (next, try Spool())
                case .data(let bytes):
                    if part?.filename == nil {
                        text += bytes
                        size += bytes.count
                        if size > largestFields {
                            throw HTTPError(
                                .contentTooLarge,
                                message: "the form's fields exceed \(largestFields) bytes"
                            )
                        }
                    } else if part?.filename?.isEmpty == false {
                        try await spool?.append(bytes)
                    }
                case .end:
                    guard let ended = part, ended.filename == nil else { continue }
                    size += ended.name.utf8.count + 100
                    fields.append((ended.name, String(decoding: text, as: UTF8.self)))
                }
            }
        }
        guard parser.isFinished else { throw ArrivingBody.incomplete }
        var submission = Submission(options: try CreationOptions(query + CreationOptions.members(of: fields)))
        try check(submission.options)
        guard let file, let spool else { return submission }
        submission.records = await spool.finish()
        submission.format =
            SourceFormat(ending: file.filename ?? "") ?? formats[mediaType(file.contentType ?? "")]
        submission.name = "\((file.filename ?? "").prefix(200)) (uploaded)"
        return submission
    }

    /// Returns the media type of a body, or an empty text if none is given.
    ///
    /// - Throws: `HTTPError` with 415 if the body is encoded or is not UTF-8.
    static func mediaType(of request: Request) throws -> String {
        let header = request.headers[.contentType] ?? ""
        if let encoding = request.headers[.contentEncoding], encoding.lowercased() != "identity" {
            throw HTTPError(.unsupportedMediaType, message: "the body must not be encoded, but it is '\(encoding)'")
        }
        if let charset = header.firstMatch(of: /charset="?([^\s;"]+)/.ignoresCase())?.1.lowercased(),
            charset != "utf-8", charset != "us-ascii"
        {
            throw HTTPError(.unsupportedMediaType, message: "the body must be UTF-8, not '\(charset)'")
        }
        return mediaType(header)
    }

    private static func mediaType(_ header: String) -> String {
        let type = header.prefix { $0 != ";" }
        return type.filter { $0 != " " && $0 != "\t" }.lowercased()
    }

    fileprivate static func isSpace(_ byte: UInt8) -> Bool {
        byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09
    }
}

/// The bytes of a body as they arrive; it throws if the body ends early.
private struct ArrivingBody {
    static let incomplete = HTTPError(.badRequest, message: "the body ended early, so nothing was created")

    private var iterator: RequestBody.AsyncIterator
    private let length: Int?
    private var count = 0
    /// The bytes up to the first one that is not white space, which were read ahead.
    private var ahead: [UInt8]?

    init(_ request: Request) {
        iterator = request.body.makeAsyncIterator()
        length = request.headers[.contentLength].flatMap { Int($0) }
    }

    /// Returns the next bytes, or nil at the end.
    mutating func next() async throws -> [UInt8]? {
        if let bytes = ahead {
            ahead = nil
            return bytes
        }
        guard let buffer = try await iterator.next(isolation: #isolation) else {
            try Task.checkCancellation()
            if let length, count != length { throw Self.incomplete }
            return nil
        }
        count += buffer.readableBytes
        return Array(buffer: buffer)
    }

    /// Returns the first byte that is not white space, without taking it from the body.
    mutating func firstByte() async throws -> UInt8? {
        var seen: [UInt8] = []
        while let bytes = try await next() {
            seen += bytes
            if let first = bytes.first(where: { !Submission.isSpace($0) }) {
                ahead = seen
                return first
            }
            if seen.count > Submission.largestJSON { break }
        }
        ahead = seen.isEmpty ? nil : seen
        return nil
    }
}
