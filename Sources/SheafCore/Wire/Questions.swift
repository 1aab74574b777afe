/// An entry of a batch's question log.
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

    package var message: Message {
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

    /// Decodes an entry; returns nil if the message is not one.
    package init?(_ message: Message) {
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

/// The state of a batch's questions: the fold of its question log; repeated entries have no effect.
package struct QuestionState: Sendable, Equatable {
    /// The state of one question.
    package struct Standing: Sendable, Equatable {
        /// The question.
        package var question: Question
        /// The worker that asked most recently.
        package var worker: String
        /// When the question was asked most recently.
        package var askedAt: Timestamp
        /// The answer that counts, with its author and time, or nil if there is none.
        package var answer: (value: String, by: String, at: Timestamp)?
        /// Whether the task no longer waits for an answer.
        package var isWithdrawn = false

        /// Whether the question can be answered.
        package var isOpen: Bool { answer == nil && !isWithdrawn }

        /// Compares two standings, except for the time of the answer.
        package static func == (left: Standing, right: Standing) -> Bool {
            left.question == right.question && left.worker == right.worker && left.askedAt == right.askedAt
                && left.answer?.value == right.answer?.value && left.answer?.by == right.answer?.by
                && left.isWithdrawn == right.isWithdrawn
        }
    }

    private var standings: [QuestionID: Standing] = [:]

    package init() {}

    /// The state of a question, or nil if it was never asked.
    package subscript(_ id: QuestionID) -> Standing? { standings[id] }

    /// The questions that wait for an answer, ordered by task.
    package var open: [(id: QuestionID, standing: Standing)] {
        standings.filter { $0.value.isOpen }.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    /// Returns the questions of a task in order, for the newest generation that has any.
    package func questions(of index: Int) -> [(id: QuestionID, standing: Standing)] {
        let all = standings.filter { $0.key.index == index }
        guard let newest = all.keys.map(\.generation).max() else { return [] }
        return all.filter { $0.key.generation == newest }.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    /// Applies an entry.
    package mutating func apply(_ entry: QuestionEntry) {
        switch entry.event {
        case .asked(let question):
            let answer = standings[entry.id]?.answer
            standings[entry.id] = Standing(
                question: question,
                worker: entry.by,
                askedAt: entry.at,
                answer: answer
            )
        case .answered(let value):
            guard standings[entry.id]?.isOpen == true else { return }
            standings[entry.id]?.answer = (value, entry.by, entry.at)
        case .withdrawn:
            if standings[entry.id]?.answer == nil { standings[entry.id]?.isWithdrawn = true }
        }
    }
}
