/// One item of an input: a JSON value, a row, a line or a file.
public struct Record: Sendable, Equatable {
    /// What the bytes are.
    public enum Kind: String, Sendable, CaseIterable {
        /// A JSON value.
        case json
        /// UTF-8 text.
        case text
        /// Any bytes, such as a file's.
        case binary

        /// The media type that stands for the kind on the wire.
        public var contentType: String {
            switch self {
            case .json: "application/json"
            case .text: "text/plain; charset=utf-8"
            case .binary: "application/octet-stream"
            }
        }

        /// The kind a media type stands for; what is neither JSON nor text is binary.
        public init(contentType: String) {
            if contentType.hasPrefix("application/json") {
                self = .json
            } else if contentType.hasPrefix("text/") {
                self = .text
            } else {
                self = .binary
            }
        }
    }

    /// The largest record that travels inside a message, in bytes.
    public static let maximumSize = 1 << 20
    /// The longest id, in bytes.
    public static let maximumIDSize = 512

    /// Its name within the input: its `id` field, or `path:line`.
    public var id: String
    /// What the bytes are.
    public var kind: Kind
    /// The record as it came.
    public var bytes: [UInt8]

    /// Makes a record.
    public init(id: String, kind: Kind, bytes: [UInt8]) {
        self.id = id
        self.kind = kind
        self.bytes = bytes
    }

    /// Appends the record as a JSON value: itself, a string, or for bytes that are not UTF-8 their Base64.
    public func writeJSON(to output: inout [UInt8]) {
        switch kind {
        case .json: JSON.writeOnOneLine(bytes, to: &output)
        case .text: JSON.write(String(decoding: bytes, as: UTF8.self), to: &output)
        case .binary:
            if let text = String(validating: bytes, as: UTF8.self) {
                JSON.write(text, to: &output)
            } else {
                JSON.write(Base64.encode(bytes), to: &output)
            }
        }
    }

    /// The record as a JSON value, as ``writeJSON(to:)`` writes it.
    public var json: JSONValue {
        get throws(JSONError) {
            if kind == .json { return try JSON.parse(bytes) }
            if let text = String(validating: bytes, as: UTF8.self) { return .string(text) }
            return .string(kind == .text ? String(decoding: bytes, as: UTF8.self) : Base64.encode(bytes))
        }
    }
}
