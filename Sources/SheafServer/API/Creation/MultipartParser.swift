import Glibc
import Hummingbird

/// Splits a `multipart/form-data` body (RFC 7578) into its parts while it arrives.
///
/// It keeps at most one chunk, and the headers of one part.
struct MultipartParser {
    /// What was found, in the order of the body.
    enum Event: Equatable {
        /// A part begins.
        case begin(Part)
        /// Bytes of the part.
        case data([UInt8])
        /// The part ends.
        case end
    }

    /// What the headers of a part say.
    struct Part: Equatable {
        var name: String
        /// The name of the file; nil if the part is a field.
        var filename: String?
        var contentType: String?
    }

    private enum Stage { case preamble, delimiter, headers, body, finished }

    private let delimiter: [UInt8]
    private var stage = Stage.preamble
    /// The bytes that are not handled yet; the body is treated as if a line break preceded it.
    private var pending: [UInt8] = [0x0D, 0x0A]

    private static let headerLimit = 16 << 10

    /// Creates a parser for the boundary that the content type names; returns nil if it names no valid one.
    init?(contentType: String) {
        guard
            let match = contentType.firstMatch(of: /;\s*boundary=(?:"([^"\r\n]{1,70})"|([^\s;"]{1,70}))/.ignoresCase()),
            let boundary = match.1 ?? match.2
        else { return nil }
        delimiter = Array("\r\n--\(boundary)".utf8)
    }

    /// Whether the last delimiter was seen.
    var isFinished: Bool { stage == .finished }

    /// Handles the next bytes of the body.
    ///
    /// - Throws: `HTTPError` with 400 if the body breaks the format.
    mutating func feed(_ bytes: [UInt8]) throws -> [Event] {
        pending += bytes
        var events: [Event] = []
        while try step(&events) {}
        if stage == .finished { pending = [] }
        return events
    }

    /// Handles one piece; returns false if more bytes are needed.
    private mutating func step(_ events: inout [Event]) throws -> Bool {
        switch stage {
        case .finished: return false
        case .preamble, .body:
            let found = position(of: delimiter)
            // A delimiter may begin in the last bytes.
            let ready = found ?? max(0, pending.count - delimiter.count + 1)
            if stage == .body, ready > 0 { events.append(.data(Array(pending[..<ready]))) }
            pending.removeFirst(found == nil ? ready : ready + delimiter.count)
            guard found != nil else { return false }
            if stage == .body { events.append(.end) }
            stage = .delimiter
            return true
        case .delimiter:
            if pending.starts(with: Array("--".utf8)) {
                stage = .finished
                return false
            }
            guard let end = position(of: [0x0D, 0x0A]) else {
                if pending.count > 256 { throw Self.broken("a boundary is not followed by a line break") }
                return false
            }
            guard pending[..<end].allSatisfy({ $0 == 0x20 || $0 == 0x09 }) else {
                throw Self.broken("a boundary is not followed by a line break")
            }
            pending.removeFirst(end)  // the line break stays, so that a part without headers ends like one with them
            stage = .headers
            return true
        case .headers:
            guard let end = position(of: [0x0D, 0x0A, 0x0D, 0x0A]) else {
                if pending.count > Self.headerLimit { throw Self.broken("the headers of a part are too long") }
                return false
            }
            events.append(.begin(try Self.part(String(decoding: pending[..<end], as: UTF8.self))))
            pending.removeFirst(end + 4)
            stage = .body
            return true
        }
    }

    private func position(of wanted: [UInt8]) -> Int? {
        pending.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else { return nil }
            var start = 0
            while start + wanted.count <= bytes.count {
                guard let hit = memchr(base + start, Int32(wanted[0]), bytes.count - wanted.count - start + 1) else {
                    return nil
                }
                let offset = UnsafeRawPointer(hit) - base
                if memcmp(hit, wanted, wanted.count) == 0 { return offset }
                start = offset + 1
            }
            return nil
        }
    }

    private static func part(_ headers: String) throws -> Part {
        var part: Part?
        var type: String?
        for line in headers.split(separator: "\r\n") {
            guard let colon = line.firstIndex(of: ":") else { throw broken("a part has an invalid header") }
            let value = line[line.index(after: colon)...].trimmingPrefix { $0 == " " || $0 == "\t" }
            switch line[..<colon].lowercased() {
            case "content-disposition": part = try disposition(value)
            case "content-type": type = value.lowercased()
            default: break
            }
        }
        guard var part else { throw broken("a part has no Content-Disposition header") }
        part.contentType = type
        return part
    }

    private static func disposition(_ value: Substring) throws -> Part {
        func parameter(_ match: (Substring?, Substring?)?) -> String? {
            guard let text = match?.0 ?? match?.1 else { return nil }
            return String(text).replacing(/\\(.)/) { match in String(match.1) }.replacing("%22", with: "\"")
        }
        let name = value.firstMatch(of: /;\s*name=(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))/.ignoresCase())
        let file = value.firstMatch(of: /;\s*filename=(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))/.ignoresCase())
        guard let name = parameter(name.map { ($0.1, $0.2) }) else { throw broken("a part has no name") }
        return Part(name: name, filename: parameter(file.map { ($0.1, $0.2) }))
    }

    private static func broken(_ problem: String) -> HTTPError {
        HTTPError(.badRequest, message: "the body is not valid multipart/form-data: \(problem)")
    }
}
