/// The questions of a batch, as its log tells of them; repetition changes nothing.
public struct QuestionState: Sendable, Equatable {
    /// How one question stands.
    public struct Standing: Sendable, Equatable {
        /// The question.
        public var question: Question
        /// The worker that asked last.
        public var worker: String
        /// When it was asked last.
        public var askedAt: Timestamp
        /// The answer that counts, who gave it and when.
        public var answer: (value: String, by: String, at: Timestamp)?
        /// Whether the task does not wait any more.
        public var isWithdrawn = false

        /// Whether somebody may answer it.
        public var isOpen: Bool { answer == nil && !isWithdrawn }

        /// Compares everything.
        public static func == (left: Standing, right: Standing) -> Bool {
            left.question == right.question && left.worker == right.worker && left.askedAt == right.askedAt
                && left.answer?.value == right.answer?.value && left.answer?.by == right.answer?.by
                && left.isWithdrawn == right.isWithdrawn
        }
    }

    private var standings: [QuestionID: Standing] = [:]

    /// Makes the state of a batch in which nothing was asked.
    public init() {}

    /// How a question stands; nil where it was never asked.
    public subscript(_ id: QuestionID) -> Standing? { standings[id] }

    /// The questions that wait for an answer, in the order of their tasks.
    public var open: [(id: QuestionID, standing: Standing)] {
        standings.filter { $0.value.isOpen }.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    /// The questions of a task, in their order, of the newest generation that asked.
    public func questions(of index: Int) -> [(id: QuestionID, standing: Standing)] {
        let all = standings.filter { $0.key.index == index }
        guard let newest = all.keys.map(\.generation).max() else { return [] }
        return all.filter { $0.key.generation == newest }.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    /// Applies an entry.
    public mutating func apply(_ entry: QuestionEntry) {
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
