import SheafBroker
import SheafCore

/// The log of dead letters, as operators see it.
///
/// Other processes follow the log too, so entries are never removed. A dismissal is an entry of its own.
struct DeadLetters {
    let client: SheafClient

    /// The dead letters that were neither dismissed nor requeued, oldest first.
    func list() async throws -> [DeadLetter] {
        var letters: [DeadLetter] = []
        try await read(from: .first) { entry in
            switch Dismissal(entry.message) {
            case .before(let offset)?: letters.removeAll { $0.offset < offset }
            case .requeued(let offset)?: letters.removeAll { $0.offset == offset }
            case nil:
                if let sighting = DeadLetterSighting(entry.message) {
                    // A sighting covers all entries before it.
                    for place in letters.indices.reversed() {
                        guard letters[place].at == nil else { break }
                        if letters[place].offset <= sighting.last { letters[place].at = sighting.at }
                    }
                } else {
                    letters.append(DeadLetter(entry))
                }
            }
        }
        return letters
    }

    /// A dead letter with its message, dismissed or not; throws `notFound`.
    func letter(at offset: Int64) async throws -> (letter: DeadLetter, message: Message) {
        var found: LogEntry?
        var sighting: DeadLetterSighting?
        if (0..<Int64.max).contains(offset) {
            // Read to the end of the log, because the sighting comes after the dead letter.
            try await read(from: .offset(offset)) { entry in
                if let seen = DeadLetterSighting(entry.message) {
                    if sighting == nil, seen.last >= offset { sighting = seen }
                } else if entry.offset == offset, Dismissal(entry.message) == nil {
                    found = entry
                }
            }
        }
        guard let found else {
            throw SheafError(.notFound, "dead letter \(offset) does not exist", advice: .listDeadLetters)
        }
        var letter = DeadLetter(found)
        letter.at = letter.at ?? sighting?.at
        return (letter, found.message)
    }

    /// Requeues a dead letter to its original queue; throws `notNow` or `notFound` if that is impossible.
    func requeue(_ offset: Int64) async throws -> RequeuedLetter {
        let (letter, message) = try await letter(at: offset)
        let journal = try await Journal.read(from: client)
        if let refusal = try await refusal(letter, message, journal) { throw refusal }
        try await publish(message, of: letter)
        return RequeuedLetter(offset: letter.offset, queue: letter.queue)
    }

    /// Requeues all dead letters for which that is possible, and reports why it is not for the others.
    func requeueAll() async throws -> [RequeuedLetter] {
        let journal = try await Journal.read(from: client)
        let waiting = Set(try await list().map(\.offset))
        var results: [RequeuedLetter] = []
        guard let first = waiting.min() else { return results }
        try await read(from: .offset(first)) { entry in
            guard waiting.contains(entry.offset) else { return }
            try Task.checkCancellation()
            let letter = DeadLetter(entry)
            var result = RequeuedLetter(offset: letter.offset, queue: letter.queue)
            if let refusal = try await refusal(letter, entry.message, journal) {
                result.refusal = refusal.message
                result.advice = refusal.advice
            } else {
                try await publish(entry.message, of: letter)
            }
            results.append(result)
        }
        return results
    }

    /// Dismisses all present dead letters, and returns their number.
    func dismissAll() async throws -> Int {
        let letters = try await list()
        if let last = letters.last { try await append(.before(last.offset + 1)) }
        return letters.count
    }

    private func refusal(_ letter: DeadLetter, _ message: Message, _ journal: Journal) async throws -> SheafError? {
        // Its failure is recorded, or will be shortly; another run in the same generation would not count.
        if letter.reason == "delivery_limit", let task = try? BatchTask(message), journal[task.batch] != nil {
            return SheafError(
                .notNow,
                "cannot requeue dead letter \(letter.offset): its task \(task.id) has failed",
                advice: .retryTask(task.batch, index: task.index)
            )
        }
        let namespace = client.names.namespace
        guard letter.queue.hasPrefix("\(namespace).tasks.") || letter.queue.hasPrefix("\(namespace).suspects.") else {
            let cause =
                letter.queue.isEmpty
                ? "its original queue is unknown" : "its original queue '\(letter.queue)' is not a task queue"
            return SheafError(.notNow, "cannot requeue dead letter \(letter.offset): \(cause)")
        }
        guard try await client.broker.queueStatus(letter.queue) != nil else {
            return SheafError(
                .notFound,
                "cannot requeue dead letter \(letter.offset): its original queue '\(letter.queue)' no longer exists; "
                    + "the queues of a batch are deleted when the batch ends",
                advice: .showDeadLetter(letter.offset)
            )
        }
        return nil
    }

    /// The message is confirmed in its queue before it is dismissed: it may be requeued twice, but is never lost.
    private func publish(_ message: Message, of letter: DeadLetter) async throws {
        try await client.broker.publish(DeathHeaders.removed(from: message), to: letter.queue)
        try await append(.requeued(letter.offset))
    }

    private func append(_ dismissal: Dismissal) async throws {
        try await retrying(for: .seconds(30)) {
            try await client.broker.append(dismissal.message, to: client.names.dead)
        }
    }

    private func read(
        from start: LogPosition,
        _ body: (LogEntry) async throws -> Void
    ) async throws {
        let log = client.names.dead
        let end = try await retrying(for: .seconds(15)) { try await client.broker.endOffset(of: log) }
        try await client.broker.entries(of: log, from: start, upTo: end ?? 0, body)
    }
}
