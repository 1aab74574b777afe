/// What travels through a queue or a log: metadata in properties and flat headers, and a body nobody on the way parses.
public struct Message: Sendable, Equatable {
    /// The value of a header; only flat values survive in a log.
    public enum HeaderValue: Sendable, Equatable {
        /// A text.
        case string(String)
        /// A whole number.
        case integer(Int64)
        /// A flag.
        case bool(Bool)
    }

    /// A name and its value.
    public struct Header: Sendable, Equatable {
        /// The name, at most 255 bytes.
        public var name: String
        /// The value.
        public var value: HeaderValue

        /// Makes a header.
        public init(_ name: String, _ value: HeaderValue) {
            self.name = name
            self.value = value
        }
    }

    /// Identifies the message for its receivers (`message_id`, at most 255 bytes), or empty.
    public var id: String
    /// Says what the message is (`type`, at most 255 bytes), such as `task`, or empty.
    public var type: String
    /// The media type of the body (`content_type`), or empty.
    public var contentType: String
    /// The headers, in no order that means anything.
    public var headers: [Header]
    /// The body.
    public var body: [UInt8]

    /// Makes a message.
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

    /// The value of the header of that name, or nil.
    public subscript(_ name: String) -> HeaderValue? {
        headers.first { $0.name == name }?.value
    }

    /// The text of the header of that name, where it is one.
    public func string(_ name: String) -> String? {
        if case .string(let value) = self[name] { value } else { nil }
    }

    /// The number of the header of that name; a text of digits counts too.
    public func integer(_ name: String) -> Int? {
        switch self[name] {
        case .integer(let value): Int(exactly: value)
        case .string(let digits): Int(digits)
        default: nil
        }
    }
}
