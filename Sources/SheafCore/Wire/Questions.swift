/// An entry of a results log that concerns a question of a task.
package struct QuestionEntry: Sendable, Equatable {
    package enum Event: Sendable, Equatable {
        /// A task waits for the answer; it may ask the same question again.
        case asked(Question)
        /// A user has answered; the first answer counts.
        case answered(String)
        /// The task no longer waits.
        case withdrawn

        package var type: String {
            switch self {
            case .asked: "asked"
            case .answered: "answered"
            case .withdrawn: "withdrawn"
            }
        }
    }

    /// The maximum size of a question or an answer, in bytes.
    package static let maximumSize = 64 << 10
    private static let mostChoices = 1_000
    private static let mostQuestions = 1_000_000

    package var id: QuestionID
    /// When the event happened, by the writer's clock.
    package var at: Timestamp
    /// The writer: the name of a worker or of the user who answered.
    package var by: String
    package var event: Event

    package init(id: QuestionID, at: Timestamp, by: String, event: Event) {
        self.id = id
        self.at = at
        self.by = by
        self.event = event
    }

    /// Encodes the entry for the results log of a batch.
    package func message(batch: Name) -> Message {
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
        return Message(
            type: event.type,
            contentType: "application/json",
            headers: [.init("sheaf-batch", .string(batch.text))],
            body: body.bytes
        )
    }

    /// Decodes an entry; returns nil if the message is not one.
    package init?(_ message: Message) {
        guard message.body.count <= 4 * Self.maximumSize, let body = try? JSON.parse(message.body),
            let index = body["index"]?.intValue, (0..<BatchState.maximumTasks).contains(index),
            let generation = body["generation"]?.intValue, (0..<BatchState.maximumTasks).contains(generation),
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
