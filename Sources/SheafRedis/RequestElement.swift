import CHiredis
import OrderedCollections
import SheafCore
import SheafDispatch
import SheafSources

/// A request as it is stored in Redis: an element of a list, or an entry of a stream.
///
/// An element is JSON as any program writes it; its id is the field `id` or `record_id`. A request that cannot be
/// written so has a line `#sheaf {"id":…,"kind":…}` before its bytes. An entry has the fields `data`, `id` and `kind`,
/// of which only `data` is needed; without it, all fields are an object.
struct RequestElement {
    /// The id, or an empty string if the request has none.
    private(set) var id = ""
    private(set) var request = Record(id: "", kind: .json, bytes: [])
    /// Why this is no request, or nil.
    private(set) var problem: String?
    /// The number of bytes in the store.
    private(set) var size = 0

    /// The size from which an element is not read: that of the largest request and a line before it.
    static let largest = Record.maximumSize + 2048

    /// The size of a digest.
    static let digestSize = 16

    private static let prefix = Array("#sheaf {".utf8)
    private static let newline = UInt8(ascii: "\n")

    // MARK: Lists

    /// Returns the element of a request.
    static func encode(_ request: Record) -> [UInt8] {
        if request.kind == .json, !request.bytes.starts(with: prefix), jsonID(of: request.bytes) == request.id {
            return request.bytes
        }
        let header: JSONValue = ["id": .string(request.id), "kind": .string(request.kind.rawValue)]
        return Array("#sheaf ".utf8) + header.bytes + [newline] + request.bytes
    }

    /// Reads an element of a list, which is an integer if it was too large to be read.
    init(element value: RedisValue) {
        guard let bytes = value.bytes else {
            size = value.integer ?? 0
            problem = Self.tooLarge(size)
            return
        }
        size = bytes.count
        if let (header, body) = Self.header(of: bytes) {
            id = header.id
            request = Record(id: id, kind: header.kind, bytes: body)
        } else {
            request.bytes = bytes
            id = Self.jsonID(of: bytes) ?? ""
        }
        check()
    }

    private static func header(of bytes: [UInt8]) -> (header: (id: String, kind: Record.Kind), body: [UInt8])? {
        guard bytes.starts(with: prefix), let end = bytes.firstIndex(of: newline),
            let header = try? JSON.parse(Array(bytes[(prefix.count - 1)..<end])),
            let id = header["id"]?.stringValue,
            let kind = header["kind"]?.stringValue.flatMap(Record.Kind.init(rawValue:))
        else { return nil }
        return ((id, kind), Array(bytes[(end + 1)...]))
    }

    // MARK: Streams

    /// The fields of the entry of a request, besides their names: id, kind and data.
    static func fields(_ request: Record) -> [[UInt8]] {
        [Array(request.id.utf8), Array(request.kind.rawValue.utf8), request.bytes]
    }

    /// Reads an entry of a stream: its id and its fields, or only its id, or its id and its size.
    init(entry value: RedisValue) {
        let parts = value.array
        let entry = parts.first?.text ?? ""
        if parts.count < 2 {
            id = entry
            problem = "its entry was removed from the stream before it was in a batch"
            return
        }
        if case .integer(let size) = parts[1] {
            id = entry
            self.size = size
            problem = Self.tooLarge(size)
            return
        }
        var fields: [(name: String, value: [UInt8])] = []
        for index in stride(from: 0, to: parts[1].array.count - 1, by: 2) {
            let (name, value) = (parts[1].array[index], parts[1].array[index + 1])
            fields.append((name.text ?? "", value.bytes ?? []))
            size += (value.bytes ?? []).count
        }
        func text(_ name: String) -> String? {
            fields.first { $0.name == name }.map { String(decoding: $0.value, as: UTF8.self) }
        }
        let own = text("id").flatMap { $0.isEmpty ? nil : $0 }
        if let data = fields.first(where: { $0.name == "data" })?.value {
            request.kind = text("kind").flatMap(Record.Kind.init(rawValue:)) ?? .json
            request.bytes = data
            id = own ?? (request.kind == .json ? Self.jsonID(of: data) : nil) ?? entry
        } else {
            request.bytes = Self.object(fields)
            id = own ?? text("record_id").flatMap { $0.isEmpty ? nil : $0 } ?? entry
        }
        check()
        if id.isEmpty { id = entry }
    }

    /// Writes fields as an object of strings; of fields with one name, the last one counts.
    private static func object(_ fields: [(name: String, value: [UInt8])]) -> [UInt8] {
        var object: OrderedDictionary<String, JSONValue> = [:]
        for (name, value) in fields { object[name] = .string(String(decoding: value, as: UTF8.self)) }
        return JSONValue.object(object).bytes
    }

    // MARK: Both

    private mutating func check() {
        if id.utf8.count > RequestID.maximumSize {
            problem = "its id has \(id.utf8.count) bytes; the limit is \(RequestID.maximumSize)"
            id = ""
        } else if request.bytes.count > Record.maximumSize {
            problem = Self.tooLarge(request.bytes.count)
            request.bytes = []
        }
        request.id = id
    }

    private static func tooLarge(_ size: Int) -> String { "it has \(size) bytes; the limit is \(Record.maximumSize)" }

    /// Returns the id in an object, or nil if it has none.
    private static func jsonID(of bytes: [UInt8]) -> String? {
        guard let members = try? JSON.members(["id", "record_id"], of: bytes) else { return nil }
        return ["id", "record_id"].lazy.compactMap { members[$0].flatMap(id(_:)) }.first
    }

    private static func id(_ value: JSONValue) -> String? {
        switch value {
        case .string(let text): text.isEmpty ? nil : text
        case .number(let digits): digits
        case .bool(let flag): flag ? "true" : "false"
        case .null, .array, .object: nil
        }
    }

    /// 16 bytes that stand for the content.
    var digest: [UInt8] { Self.digest(of: request, problem: problem) }

    /// 16 bytes that stand for the content of a request.
    static func digest(of request: Record, problem: String? = nil) -> [UInt8] {
        var bytes = Array(request.kind.rawValue.utf8) + [0] + request.bytes
        if let problem { bytes += Array(problem.utf8) }
        var output = [UInt8](repeating: 0, count: digestSize)
        chir_digest(&bytes, bytes.count, &output)
        return output
    }

    /// Returns the item of the request in a group.
    func item(index: Int, of group: RequestGroup, key: RequestKey?, isConflict: Bool) -> SourceItem {
        var request = request
        request.id = id.isEmpty ? "\(group.batch).\(index)" : id
        if let problem {
            let message = "the request is unusable: \(problem)"
            return SourceItem(index: index, place: request.id, content: .invalid(message: message))
        }
        return isConflict ? request.conflict(index: index) : request.item(index: index, key: key)
    }
}

/// The part of the names of keys in Redis that keeps requests apart: the field and its value.
struct RequestLane: Hashable {
    /// The field and the value, with a zero byte between them; without a value, only the field; or nothing.
    let text: String

    init(text: String) { self.text = text }

    init(of request: Record, key: RequestKey?) {
        guard let key else {
            text = ""
            return
        }
        text = (try? key.value(of: request).get()).map { "\(key.field)\0\($0)" } ?? key.field
    }

    /// The field, or nil if requests were not kept apart.
    var key: RequestKey? { text.isEmpty ? nil : RequestKey(String(text.prefix { $0 != "\0" })) }

    /// The value, or nil if there is none.
    var value: String? { text.firstIndex(of: "\0").map { String(text[text.index(after: $0)...]) } }
}
