public import SheafBatches
import SheafCore

/// Finds and awaits what became of the requests of one dispatcher.
///
/// A program that looks once and one that waits for thousands of answers use it alike: it follows the queue, the journal
/// and the results of the batches in which requests are awaited, each once for all who wait. Only a queue that cannot be
/// followed, as in Redis, is asked again and again. Use ``close()`` at the end.
///
/// ```swift
/// let answers = RequestAnswers(client: client, queue: queue)
/// let answer = try await answers.wait(for: "order-1", atMost: .seconds(60))
/// ```
public actor RequestAnswers {
    private let client: SheafClient
    private let queue: any RequestQueue
    private var journal: Task<FollowedJournal, any Error>?
    private var batches: [Name: BatchAnswers] = [:]
    /// The batches by their use, the latest last.
    private var used: [Name] = []
    private var searches = 0
    private var lastSearch: Task<Void, Never>?

    /// How many of the newest batches are searched for a request that the queue does not know anymore.
    public static let searchedBatches = 100
    /// How many batches are kept whose outcomes were read.
    private static let keptBatches = 16
    /// How many searches may wait for those before them.
    private static let mostSearches = 16

    private struct FollowedJournal {
        let journal: Journal
        let following: Task<Void, Never>
    }

    /// Creates the answers of a dispatcher's requests; neither the client nor the queue is closed by it.
    public init(client: SheafClient, queue: any RequestQueue) {
        self.client = client
        self.queue = queue
    }

    /// Ends the following.
    public func close() async {
        let journal = journal
        self.journal = nil
        batches = [:]
        if let followed = try? await journal?.value { followed.following.cancel() }
    }

    /// Finds a request by its id.
    ///
    /// - Returns: What became of it, or nil if neither the queue nor the newest ``searchedBatches`` batches have it.
    /// - Throws: `BrokerError`, and ``RequestQueueError`` with `busy` if too many searches in old batches wait.
    public func find(_ id: String) async throws -> RequestAnswer? {
        if let place = try await searchable?.place(of: id, deeply: false) { return try await answer(id, at: place) }
        return try await search { try await self.searchOld(id) }
    }

    /// Waits until a request has its answer.
    ///
    /// - Parameters:
    ///   - id: The id of the request.
    ///   - limit: How long to wait at most.
    /// - Returns: The answer; after the limit the present one, which is not final; nil as for ``find(_:)``.
    /// - Throws: What ``find(_:)`` throws, and `CancellationError`.
    public func wait(for id: String, atMost limit: Duration) async throws -> RequestAnswer? {
        let deadline = ContinuousClock.now + limit
        let present = try await find(id)
        let rest = deadline - .now
        guard let present, !present.isFinal, rest > .zero else { return present }
        do {
            return try await withTimeLimit(rest, "") { try await self.finalAnswer(to: id, present) }
        } catch let error as SheafError where error.code == .timedOut {
            return try await find(id)
        }
    }

    private var searchable: (any SearchableRequestQueue)? { queue as? any SearchableRequestQueue }

    // MARK: Batches

    private func answer(_ id: String, at place: RequestPlace) async throws -> RequestAnswer? {
        guard case .batch(let batch) = place else { return .waiting }
        return try await answers(of: batch).find(id)
    }

    private func answers(of batch: Name) async throws -> BatchAnswers {
        let journal = try await followedJournal()
        used.removeAll { $0 == batch }
        used.append(batch)
        if let known = batches[batch] { return known }
        let made = BatchAnswers(client: client, journal: journal, batch: batch)
        batches[batch] = made
        if used.count > Self.keptBatches { batches[used.removeFirst()] = nil }
        return made
    }

    private func followedJournal() async throws -> Journal {
        if let journal { return try await journal.value.journal }
        let task = Task { [client] in
            let journal = try await Journal.read(from: client)
            let following = Task {
                while !Task.isCancelled {
                    do {
                        try await journal.run()
                    } catch {
                        try? await Task.sleep(for: .seconds(1))
                    }
                }
            }
            return FollowedJournal(journal: journal, following: following)
        }
        journal = task
        do {
            return try await task.value.journal
        } catch {
            journal = nil
            throw error
        }
    }

    // MARK: Waiting

    private func finalAnswer(to id: String, _ present: RequestAnswer) async throws -> RequestAnswer? {
        var present: RequestAnswer? = present
        while true {
            switch present {
            case nil: return nil
            case .ended?, .cancelled?: return present
            case .dispatched(let batch)?: return try await answers(of: batch).wait(for: id)
            case .waiting?: break
            }
            guard let searchable else { return present }
            for await _ in await searchable.placements() {
                switch try await searchable.place(of: id, deeply: false) {
                case .waiting?: continue
                case let place?: present = try await answer(id, at: place)
                case nil: present = try await find(id)  // the queue has forgotten it
                }
                if present != .waiting { break }
            }
            // Cancelled, or the queue was closed.
            if present == .waiting { throw CancellationError() }
        }
    }

    // MARK: Old requests

    /// Runs one search after the other, so that requests for unknown ids do not read the broker's logs all at once.
    private func search(_ body: @escaping @Sendable () async throws -> RequestAnswer?) async throws -> RequestAnswer? {
        guard searches < Self.mostSearches else {
            throw RequestQueueError(.busy, "too many searches for old requests of '\(queue.name)' wait; try again")
        }
        searches += 1
        defer { searches -= 1 }
        let task = Task { [previous = lastSearch] in
            await previous?.value
            try Task.checkCancellation()
            return try await body()
        }
        lastSearch = Task { _ = await task.result }
        return try await withTaskCancellationHandler {
            try await task.value
        } onCancel: {
            task.cancel()
        }
    }

    private func searchOld(_ id: String) async throws -> RequestAnswer? {
        if let place = try await searchable?.place(of: id, deeply: true) { return try await answer(id, at: place) }
        let journal = try await followedJournal()
        try await journal.catchUp()
        let mine = journal.state.batches.reversed().lazy.filter { [name = queue.name.text] in
            $0.options.tags[Dispatcher.tag] == name
        }
        for batch in mine.prefix(Self.searchedBatches) {
            try Task.checkCancellation()
            let answer = try await answers(of: batch.id).find(id)
            if case .ended? = answer { return answer }
        }
        return nil
    }
}
