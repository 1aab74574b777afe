import OrderedCollections

extension AttemptError {
    /// The error as a JSON object.
    public var json: JSONValue {
        [
            "attempt": .integer(attempt), "type": .string(type), "message": .string(message),
            "at": .string(at.description), "worker": .string(worker),
        ]
    }

    /// Reads an error; nil where the value is none.
    public init?(json: JSONValue) {
        guard let type = json["type"]?.stringValue else { return nil }
        self.init(
            attempt: json["attempt"]?.intValue.flatMap { (0...1_000_000).contains($0) ? $0 : nil } ?? 0,
            type: type,
            message: json["message"]?.stringValue ?? "",
            at: json["at"]?.stringValue.flatMap { Timestamp($0) } ?? Timestamp(milliseconds: 0),
            worker: json["worker"]?.stringValue ?? ""
        )
    }

    /// A list of errors as a JSON array.
    public static func json(_ errors: [AttemptError]) -> JSONValue { .array(errors.map(\.json)) }

    /// The errors of a JSON array, as many as are kept; what is none is left out.
    public static func list(json: JSONValue?) -> [AttemptError] {
        bounded((json?.arrayValue ?? []).compactMap { AttemptError(json: $0) })
    }

    /// The errors of a text that should be a JSON array; none where it is not.
    static func list(text: String) -> [AttemptError] {
        guard text.utf8.count <= maximumText else { return [] }
        return list(json: try? JSON.parse(text))
    }

    /// What is read of a foreign text, in bytes; Sheaf's own are far smaller.
    private static let maximumText = 64 << 10
}
