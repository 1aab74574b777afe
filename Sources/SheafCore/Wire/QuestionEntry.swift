/// What a batch's log says of one question.
public struct QuestionEntry: Sendable, Equatable {
    /// What happened.
    public enum Event: Sendable, Equatable {
        /// A task waits for the answer; asked again, it is the same question.
        case asked(Question)
        /// Somebody has answered; the first answer counts.
        case answered(String)
        /// The task does not wait any more.
        case withdrawn

        /// The word that names the event on the wire.
        public var type: String {
            switch self {
            case .asked: "asked"
            case .answered: "answered"
            case .withdrawn: "withdrawn"
            }
        }
    }

    /// The longest question or answer, in bytes.
    public static let maximumSize = 64 << 10
    private static let mostChoices = 1_000
    private static let mostQuestions = 1_000_000

    /// Which question.
    public var id: QuestionID
    /// When it happened, by the clock of whoever wrote it.
    public var at: Timestamp
    /// Who wrote it: a worker, or whoever answered.
    public var by: String
    /// What happened.
    public var event: Event

    /// Makes an entry.
    public init(id: QuestionID, at: Timestamp, by: String, event: Event) {
        self.id = id
        self.at = at
        self.by = by
        self.event = event
    }

    /// The entry as a message.
    public var message: Message {
        let (text, answer): (Question?, String?) =
            switch event {
            case .asked(let question): (question, nil)
            case .answered(let value): (nil, value)
            case .withdrawn: (nil, nil)
            }
        let body: JSONValue = [
            "index": .integer(id.index), "generation": .integer(id.generation), "number": .integer(id.number),
            "at": .string(at.description), "by": .string(by), "question": .optional(text?.text),
            "choices": .array((text?.choices ?? []).map(JSONValue.string)), "default": .optional(text?.fallback),
            "answer": .optional(answer),
        ]
        return Message(type: event.type, contentType: "application/json", body: body.bytes)
    }

    /// Reads an entry; nil where the message is none.
    public init?(_ message: Message) {
        guard message.body.count <= 4 * Self.maximumSize, let body = try? JSON.parse(message.body),
            let index = body["index"]?.intValue, (0..<BatchState.maximumTasks).contains(index),
            let generation = body["generation"]?.intValue, generation >= 0,
            let number = body["number"]?.intValue, (1...Self.mostQuestions).contains(number),
            let at = body["at"]?.stringValue.flatMap({ Timestamp($0) }),
            let event = Self.event(message.type, body)
        else { return nil }
        self.init(
            id: QuestionID(index: index, generation: generation, number: number),
            at: at,
            by: body["by"]?.stringValue ?? "",
            event: event
        )
    }

    private static func event(_ type: String, _ body: JSONValue) -> Event? {
        switch type {
        case "asked":
            guard let text = body["question"]?.stringValue else { return nil }
            let choices = (body["choices"]?.arrayValue ?? []).prefix(mostChoices).compactMap(\.stringValue)
            return .asked(Question(text, choices: choices, fallback: body["default"]?.stringValue))
        case "answered": return body["answer"]?.stringValue.map { .answered($0) }
        case "withdrawn": return .withdrawn
        default: return nil
        }
    }
}
