/// One item of an input: a JSON value, a row, a line or a file.
public struct Record: Sendable, Equatable {
    /// The kind of a record's bytes.
    public enum Kind: String, Sendable, CaseIterable {
        /// A JSON value.
        case json
        /// UTF-8 text.
        case text
        /// Any bytes, such as those of a file.
        case binary

        /// The media type of the kind on the wire.
        package var contentType: String {
            switch self {
            case .json: "application/json"
            case .text: "text/plain; charset=utf-8"
            case .binary: "application/octet-stream"
            }
        }

        /// Creates the kind for a media type; types other than JSON and text are binary.
        package init(contentType: String) {
            if contentType.hasPrefix("application/json") {
                self = .json
            } else if contentType.hasPrefix("text/") {
                self = .text
            } else {
                self = .binary
            }
        }
    }

    /// The maximum size of a record in a message, in bytes.
    public static let maximumSize = 1 << 20
    /// The maximum size of an id, in bytes.
    package static let maximumIDSize = 512

    /// The record's id within the input: its `id` field, or `path:line`.
    public var id: String
    /// The kind of the bytes.
    public var kind: Kind
    /// The unmodified bytes of the record.
    public var bytes: [UInt8]

    /// Creates a record.
    public init(id: String, kind: Kind, bytes: [UInt8]) {
        self.id = id
        self.kind = kind
        self.bytes = bytes
    }

    /// Appends the record as a JSON value: itself, a string, or Base64 if the bytes are not UTF-8.
    package func writeJSON(to output: inout [UInt8]) {
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

    /// The record as a JSON value, as `writeJSON(to:)` writes it.
    public var json: JSONValue {
        get throws(JSONError) {
            if kind == .json { return try JSON.parse(bytes) }
            if let text = String(validating: bytes, as: UTF8.self) { return .string(text) }
            return .string(kind == .text ? String(decoding: bytes, as: UTF8.self) : Base64.encode(bytes))
        }
    }
}
