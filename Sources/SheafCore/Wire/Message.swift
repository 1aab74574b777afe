/// A message in a queue or a log: metadata in properties and flat headers, and a body that no broker parses.
public struct Message: Sendable, Equatable {
    /// The value of a header; logs support only flat values.
    public enum HeaderValue: Sendable, Equatable {
        /// A string.
        case string(String)
        /// An integer.
        case integer(Int64)
        /// A flag.
        case bool(Bool)
    }

    /// A header: a name and its value.
    public struct Header: Sendable, Equatable {
        /// The name, at most 255 bytes.
        public var name: String
        /// The value.
        public var value: HeaderValue

        /// Creates a header.
        public init(_ name: String, _ value: HeaderValue) {
            self.name = name
            self.value = value
        }
    }

    /// The id of the message for its receivers (`message_id`, at most 255 bytes), or empty.
    public var id: String
    /// The type of the message (`type`, at most 255 bytes), such as `task`, or empty.
    public var type: String
    /// The media type of the body (`content_type`), or empty.
    public var contentType: String
    /// The headers; their order has no meaning.
    public var headers: [Header]
    /// The body.
    public var body: [UInt8]

    /// Creates a message.
    public init(
        id: String = "",
        type: String = "",
        contentType: String = "",
        headers: [Header] = [],
        body: [UInt8] = []
    ) {
        self.id = id
        self.type = type
        self.contentType = contentType
        self.headers = headers
        self.body = body
    }

    /// The value of the header with that name, or nil if there is none.
    package subscript(_ name: String) -> HeaderValue? {
        headers.first { $0.name == name }?.value
    }

    /// Returns the value of the header with that name if it is a string, or nil.
    package func string(_ name: String) -> String? {
        if case .string(let value) = self[name] { value } else { nil }
    }

    /// Returns the value of the header with that name if it is an integer or a string of digits, or nil.
    package func integer(_ name: String) -> Int? {
        switch self[name] {
        case .integer(let value): Int(exactly: value)
        case .string(let digits): Int(digits)
        default: nil
        }
    }
}

/// The reason why a message cannot be decoded.
package struct UnreadableMessage: Error, Sendable, Equatable, CustomStringConvertible {
    /// The reason, to follow "cannot read the message: ".
    package let reason: String

    package init(_ reason: String) { self.reason = reason }

    /// The complete error message.
    package var description: String { "cannot read the message: \(reason)" }
}
