import OrderedCollections

/// The failure of one attempt at a task.
///
/// Its size is limited, since the errors of earlier attempts travel with the task; see `bounded(_:)`.
public struct AttemptError: Sendable, Equatable {
    /// The number of the attempt, from 1.
    public var attempt: Int
    /// The type, such as `exit-code`.
    public var type: String
    /// The error message.
    public var message: String
    /// When the attempt ended.
    public var at: Timestamp
    /// The worker that made the attempt.
    public var worker: String

    /// Creates an error; strings that are too long are truncated.
    package init(attempt: Int, type: String, message: String, at: Timestamp, worker: String) {
        self.attempt = attempt
        self.type = Self.cut(type, to: Self.maximumWord)
        self.message = Self.cut(message, to: Self.maximumMessage)
        self.at = at
        self.worker = Self.cut(worker, to: Self.maximumWord)
    }

    /// The maximum number of errors that a task keeps; later errors replace the first ones.
    package static let maximumCount = 10
    /// The maximum size of a message, in bytes.
    package static let maximumMessage = 300
    /// The maximum size of a type or a worker's name, in bytes.
    private static let maximumWord = 100

    /// Returns the last ``maximumCount`` errors of a list.
    package static func bounded(_ errors: [AttemptError]) -> [AttemptError] { errors.suffix(maximumCount) }

    private static func cut(_ text: String, to limit: Int) -> String {
        guard text.utf8.count > limit else { return text }
        var end = text.utf8.index(text.startIndex, offsetBy: limit)
        while end > text.startIndex, end.samePosition(in: text.unicodeScalars) == nil {
            end = text.utf8.index(before: end)
        }
        return String(text.unicodeScalars[..<end]) + "…"
    }

    /// The error as a JSON object.
    package var json: JSONValue {
        [
            "attempt": .integer(attempt), "type": .string(type), "message": .string(message),
            "at": .string(at.description), "worker": .string(worker),
        ]
    }

    /// Decodes an error; returns nil if the JSON is not one.
    package init?(json: JSONValue) {
        guard let type = json["type"]?.stringValue else { return nil }
        self.init(
            attempt: json["attempt"]?.intValue.flatMap { (0...1_000_000).contains($0) ? $0 : nil } ?? 0,
            type: type,
            message: json["message"]?.stringValue ?? "",
            at: json["at"]?.stringValue.flatMap { Timestamp($0) } ?? Timestamp(milliseconds: 0),
            worker: json["worker"]?.stringValue ?? ""
        )
    }

    /// Encodes a list of errors as a JSON array.
    package static func json(_ errors: [AttemptError]) -> JSONValue { .array(errors.map(\.json)) }

    /// Decodes the last ``maximumCount`` errors of a JSON array; invalid elements are omitted.
    package static func list(json: JSONValue?) -> [AttemptError] {
        bounded((json?.arrayValue ?? []).compactMap { AttemptError(json: $0) })
    }

    /// Decodes the errors of a JSON array; returns an empty list if the text is not one.
    static func list(text: String) -> [AttemptError] {
        guard text.utf8.count <= maximumText else { return [] }
        return list(json: try? JSON.parse(text))
    }

    /// The maximum size of a list that is read, in bytes; the lists that Sheaf writes are far smaller.
    private static let maximumText = 64 << 10
}
