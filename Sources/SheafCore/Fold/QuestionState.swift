/// The questions of the tasks that have no outcome: a part of the fold of a results log.
///
/// Entries count in the order of the log; repeating one has no effect.
package struct QuestionState: Sendable, Equatable {
    /// The answer that counts.
    package struct Answer: Sendable, Equatable {
        package var value: String
        /// The name of the worker or of the user who answered.
        package var by: String
        package var at: Timestamp
    }

    /// The state of one question.
    package enum Standing: Sendable, Equatable {
        /// A task waits for the answer; worker and time are those of the newest `asked` entry.
        case open(Question, worker: String, askedAt: Timestamp)
        /// The question is answered; a task that asks it again gets this answer.
        case answered(Answer)
        /// The task no longer waits for an answer.
        case withdrawn

        /// The answer that counts, or nil if there is none.
        package var answer: Answer? { if case .answered(let answer) = self { answer } else { nil } }
    }

    /// A question that waits for an answer.
    package typealias Open = (id: QuestionID, question: Question, worker: String, askedAt: Timestamp)

    /// The questions of each task, by its index.
    private var tasks: [Int: [QuestionID: Standing]] = [:]

    package init() {}

    /// The state of a question, or nil if it was never asked or its task has ended.
    package subscript(_ id: QuestionID) -> Standing? { tasks[id.index]?[id] }

    /// The number of questions that wait for an answer.
    package var openCount: Int {
        tasks.values.reduce(0) { sum, questions in
            sum + questions.values.count { if case .open = $0 { true } else { false } }
        }
    }

    /// The questions that wait for an answer, ordered by task.
    package var open: [Open] { sorted.compactMap { Self.open($0.key, $0.value) } }

    private var sorted: [(key: QuestionID, value: Standing)] {
        tasks.values.flatMap(\.self).sorted { $0.key < $1.key }
    }

    private static func open(_ id: QuestionID, _ standing: Standing) -> Open? {
        guard case .open(let question, let worker, let time) = standing else { return nil }
        return (id, question, worker, time)
    }

    /// Returns the oldest open question of a task, and the state of the newest one, in the newest generation.
    package func questions(of index: Int) -> (open: Open?, last: Standing?) {
        let all = (tasks[index] ?? [:]).sorted { $0.key < $1.key }
        let newest = all.filter { $0.key.generation == all.last?.key.generation }
        return (newest.lazy.compactMap { Self.open($0.key, $0.value) }.first, newest.last?.value)
    }

    /// Applies an entry.
    package mutating func apply(_ entry: QuestionEntry) {
        let standing = self[entry.id]
        switch (entry.event, standing) {
        case (.asked, .answered): break
        case (.asked(let question), _): set(.open(question, worker: entry.by, askedAt: entry.at), entry.id)
        case (.answered(let value), .open): set(.answered(Answer(value: value, by: entry.by, at: entry.at)), entry.id)
        case (.withdrawn, .open): set(.withdrawn, entry.id)
        case (.answered, _), (.withdrawn, _): break
        }
    }

    private mutating func set(_ standing: Standing, _ id: QuestionID) { tasks[id.index, default: [:]][id] = standing }

    /// Drops the questions of a task that it asked before a generation, because it no longer waits for them.
    mutating func end(_ index: Int, before generation: Int) {
        guard let questions = tasks[index] else { return }
        let rest = questions.filter { $0.key.generation >= generation }
        tasks[index] = rest.isEmpty ? nil : rest
    }

    /// Drops the questions of tasks that do not exist.
    mutating func keep(below total: Int) { tasks = tasks.filter { $0.key < total } }

    // MARK: Snapshot

    func write(to writer: inout SnapshotWriter) {
        writer.list(sorted) { writer, entry in
            writer.numbers(entry.key.index, entry.key.generation)
            writer.number(entry.key.number)
            switch entry.value {
            case .open(let question, let worker, let time):
                writer.byte(1)
                writer.text(question.text)
                writer.list(question.choices) { $0.text($1) }
                writer.list([question.fallback].compactMap(\.self)) { $0.text($1) }
                writer.text(worker)
                writer.text(time.description)
            case .answered(let answer):
                writer.byte(2)
                writer.text(answer.value)
                writer.text(answer.by)
                writer.text(answer.at.description)
            case .withdrawn: writer.byte(3)
            }
        }
    }

    init(from reader: inout SnapshotReader) {
        var all: [(QuestionID, Standing)] = []
        reader.list { reader in
            let (index, generation) = (reader.index(), reader.number(below: BatchState.maximumTasks))
            let id = QuestionID(index: index, generation: generation, number: reader.number(below: Int.max))
            switch reader.byte() {
            case 1:
                var question = Question(reader.text())
                reader.list { question.choices.append($0.text()) }
                reader.list { question.fallback = $0.text() }
                all.append((id, .open(question, worker: reader.text(), askedAt: reader.time())))
            case 2: all.append((id, .answered(Answer(value: reader.text(), by: reader.text(), at: reader.time()))))
            case 3: all.append((id, .withdrawn))
            default: reader.fail()
            }
        }
        for (id, standing) in all { set(standing, id) }
    }
}
