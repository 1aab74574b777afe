import SheafBroker
package import SheafCore

/// The log of a batch's questions.
package struct QuestionLog: Sendable {
    let client: SheafClient
    let batch: Name

    package init(client: SheafClient, batch: Name) {
        self.client = client
        self.batch = batch
    }

    private var name: String { client.names.questions(batch: batch) }

    /// Reads the log up to now; a batch whose log is gone asks nothing.
    package func read() async throws -> (state: QuestionState, nextOffset: Int64) {
        let reading = QuestionReading()
        do {
            try await retrying(for: .seconds(15)) {
                try await client.broker.replay(name, from: .first) { await reading.apply($0) }
            }
        } catch let error as BrokerError {
            guard error.code == .notFound else { throw error }
        }
        return await (reading.state, reading.nextOffset)
    }

    /// Hands on how many questions are open, as often as somebody asks or answers, until the log is gone.
    package func followOpen(_ body: (Int) async throws -> Void) async throws {
        let reading = QuestionReading()
        do {
            try await client.broker.follow(name, from: .first) { chunk in
                await reading.apply(chunk)
                try await body(await reading.state.open.count)
                return true
            }
        } catch let error as BrokerError {
            guard error.code == .notFound || error.code == .queueGone else { throw error }
        }
    }

    /// Appends an entry and returns when it is confirmed.
    package func append(_ event: QuestionEntry.Event, to id: QuestionID, by author: String) async throws {
        let entry = QuestionEntry(id: id, at: .now, by: author, event: event)
        try await retrying { try await client.broker.append(entry.message, to: name) }
    }

    /// Waits until a question is answered, however often the connection is lost meanwhile.
    package func answer(to id: QuestionID, from offset: Int64, in state: QuestionState) async throws -> String? {
        let reading = QuestionReading(state: state, nextOffset: offset)
        try await client.broker.follow(name, from: offset == 0 ? .first : .offset(offset)) { chunk in
            await reading.apply(chunk)
            return await reading.state[id]?.answer == nil
        }
        return await reading.state[id]?.answer?.value
    }

    /// Gives an answer; returns the one that counts, which is another where somebody was faster.
    package func give(_ answer: String, to id: QuestionID, by author: String) async throws -> QuestionState.Standing? {
        try await append(.answered(answer), to: id, by: author)
        return try await read().state[id]
    }
}

/// What was read of a log of questions.
private actor QuestionReading {
    private(set) var state: QuestionState
    private(set) var nextOffset: Int64

    init(state: QuestionState = QuestionState(), nextOffset: Int64 = 0) {
        self.state = state
        self.nextOffset = nextOffset
    }

    func apply(_ chunk: LogChunk) {
        for entry in chunk.entries where entry.offset >= nextOffset {
            if let question = QuestionEntry(entry.message) { state.apply(question) }
        }
        nextOffset = max(nextOffset, chunk.nextOffset)
    }
}
