import SheafBroker
import SheafCore

/// The log of dead letters as operators see it.
///
/// It is a log, which others follow too: nothing is ever removed. An entry says what needs no attention any more.
struct DeadLetters {
    let client: SheafClient

    /// Those that still need attention, oldest first.
    func list() async throws -> [DeadLetter] {
        var letters: [DeadLetter] = []
        try await read(from: .first) { entry in
            switch Dismissal(entry.message) {
            case .before(let offset)?: letters.removeAll { $0.offset < offset }
            case .requeued(let offset)?: letters.removeAll { $0.offset == offset }
            case nil:
                if let sighting = DeadLetterSighting(entry.message) {
                    // All before one that was seen were seen, too.
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

    /// One of them with its message, dismissed or not; throws `notFound`.
    func letter(at offset: Int64) async throws -> (letter: DeadLetter, message: Message) {
        var found: LogEntry?
        var sighting: DeadLetterSighting?
        if (0..<Int64.max).contains(offset) {
            // To the end of the log: when it was seen is said behind it.
            try await read(from: .offset(offset)) { entry in
                if let seen = DeadLetterSighting(entry.message) {
                    if sighting == nil, seen.last >= offset { sighting = seen }
                } else if entry.offset == offset, Dismissal(entry.message) == nil {
                    found = entry
                }
            }
        }
        guard let found else {
            throw SheafError(.notFound, "there is no dead letter \(offset); 'sheaf dead list' shows those there are")
        }
        var letter = DeadLetter(found)
        letter.at = letter.at ?? sighting?.at
        return (letter, found.message)
    }

    /// Puts one back to the queue it came from; throws `notNow` or `notFound` where that makes no sense.
    func requeue(_ offset: Int64) async throws -> RequeuedLetter {
        let (letter, message) = try await letter(at: offset)
        let journal = try await Journal.read(from: client)
        if let refusal = try await refusal(letter, message, journal) { throw refusal }
        try await publish(message, of: letter)
        return RequeuedLetter(offset: letter.offset, queue: letter.queue)
    }

    /// Puts back all that can go back, and says why the others can not.
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
            } else {
                try await publish(entry.message, of: letter)
            }
            results.append(result)
        }
        return results
    }

    /// Dismisses all that there are now, and returns how many those were.
    func dismissAll() async throws -> Int {
        let letters = try await list()
        if let last = letters.last { try await append(.before(last.offset + 1)) }
        return letters.count
    }

    private func refusal(_ letter: DeadLetter, _ message: Message, _ journal: Journal) async throws -> SheafError? {
        // Its outcome stands, or will in a moment; another run of the same generation would count for nothing.
        if letter.reason == "delivery_limit", let task = try? BatchTask(message), journal[task.batch] != nil {
            return SheafError(
                .notNow,
                "dead letter \(letter.offset) is task \(task.id), which was given up as failed: "
                    + "'sheaf retry \(task.batch) --index \(task.index)' runs it again"
            )
        }
        let namespace = client.names.namespace
        guard letter.queue.hasPrefix("\(namespace).tasks.") || letter.queue.hasPrefix("\(namespace).suspects.") else {
            let origin = letter.queue.isEmpty ? "nothing says" : "'\(letter.queue)' is not a queue of tasks,"
            return SheafError(.notNow, "dead letter \(letter.offset) can not go back: \(origin) where it came from")
        }
        guard try await client.broker.queueStatus(letter.queue) != nil else {
            return SheafError(
                .notFound,
                "dead letter \(letter.offset) can not go back: its queue '\(letter.queue)' is gone, "
                    + "as it is when a batch has ended; 'sheaf dead show \(letter.offset)' has what it holds"
            )
        }
        return nil
    }

    /// Confirmed in its queue before it is dismissed, so that it may come back twice and is never lost.
    private func publish(_ message: Message, of letter: DeadLetter) async throws {
        var message = message
        message.headers.removeAll { $0.name == DeathHeaders.reason || $0.name == DeathHeaders.queue }
        try await client.broker.publish(message, to: letter.queue)
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
