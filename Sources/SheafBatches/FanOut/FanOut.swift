import Logging
import SheafBroker
import SheafCore

/// Copies outcomes and the ends of batches to a topic, at least once, for whatever queues are bound to it.
///
/// Runs beside an aggregator that leads and never delays it. The position of each batch goes into the aggregator's
/// progress, so that the next aggregator continues there.
///
/// While no queue is bound, nothing is read and almost nothing is sent: once a second, one real outcome of each status
/// of a batch is published so that the broker returns it if no queue is bound to its key. That proves that no queue
/// had to get the outcomes that were in the log before.
actor FanOut {
    /// A batch whose results log is being copied.
    private struct Copying {
        var reader: (any LogReader)?
        /// What was read and the aggregator has not read yet.
        var ahead: LogChunk?
        /// When a message reached a queue.
        var lastBound = ContinuousClock.now
        /// Until when a status is known to have a queue bound to its key.
        var bound: [Outcome.Status: ContinuousClock.Instant] = [:]
        /// The ids of messages that were already sent as probes.
        var sent: Set<String> = []
    }

    private let client: SheafClient
    private let journal: Journal
    private let topics: any TopicBroker
    private let feed: FanOutFeed
    private let progress: @Sendable (Name) async -> BatchProgress?
    private let changed: Changes
    private var active: [Name: Copying] = [:]
    /// How far the aggregator has read each batch that is being copied.
    private var ends: [Name: Int64] = [:]
    /// What the aggregator has read and this has not looked at.
    private var news: [Name: FanOutFeed.News] = [:]
    private var revision: Int?
    /// Until when a refused copy is not repeated.
    private var fullUntil = ContinuousClock.now
    private var refusals = 0
    /// Whether this process is about to leave.
    private var isFinishing = false
    private var lastWarning: ContinuousClock.Instant?

    private var topic: String { client.names.outcomes }

    /// How often it looks for queues that were bound.
    private static let idleInterval = Duration.seconds(1)
    /// How often it looks for outcomes while a queue is bound.
    private static let busyInterval = Duration.milliseconds(20)
    /// How long it is remembered that a queue is bound.
    private static let memory = Duration.seconds(1)
    /// How long the log of a batch without news stays open.
    private static let quiet = Duration.seconds(2)
    /// How long reading entries that exist may take.
    private static let patience = Duration.seconds(10)
    /// The pauses before copies that a queue refused are repeated.
    private static let pauses: [Duration] = [.milliseconds(100), .milliseconds(400)]
    /// How long copies are not repeated after that: a full queue would hold up all others, which get duplicates.
    private static let fullTime = Duration.seconds(5)
    /// How long after an outcome tasks are taken to run.
    private static let runningTime = Duration.milliseconds(200)
    /// How many times as long as it copies it pauses while tasks run: a copy costs the broker as much as a task.
    private static let restraint = 9.0
    /// How long the end of a batch is remembered as copied.
    private static let finishedMemory = Duration.seconds(30)

    init(
        client: SheafClient,
        journal: Journal,
        topics: any TopicBroker,
        feed: FanOutFeed,
        changed: Changes,
        progress: @escaping @Sendable (Name) async -> BatchProgress?
    ) {
        self.client = client
        self.journal = journal
        self.topics = topics
        self.feed = feed
        self.changed = changed
        self.progress = progress
    }

    /// Copies until cancelled.
    func run() async throws {
        var backoff = Backoff(ceiling: .seconds(10))
        var known = ""
        while true {
            do {
                try await topics.declareTopic(topic)
                while true {
                    let isBehind = try await pass()
                    backoff.reset()
                    known = ""
                    if isBehind { continue }
                    try await Task.sleep(for: active.isEmpty ? Self.idleInterval : Self.busyInterval)
                }
            } catch is CancellationError {
                await closeReaders()
                throw CancellationError()
            } catch {
                await closeReaders()
                try Task.checkCancellation()
                let text = "\(error)"
                if text != known { client.logger.warning("copying outcomes is interrupted: \(text)") }
                known = text
                try await backoff.pause()
            }
        }
    }

    /// Copies what the aggregator has read, up to the ends of batches that have ended; gives up at the first error.
    func finish() async throws {
        isFinishing = true
        try await journal.catchUp()
        while try await pass() {}
        await closeReaders()
    }

    /// Copies a bit of every batch; returns whether more is left.
    private func pass() async throws -> Bool {
        // Before the news are taken: what was read before a batch ended is among them.
        let now = journal.revision
        let batches = now == revision ? [] : journal.state.batches
        for (batch, fresh) in feed.take() where news[batch]?.join(fresh) == nil { news[batch] = fresh }
        for (batch, known) in news {
            try await look(batch, known)
            news[batch] = nil
        }
        for batch in batches { try await prepare(batch) }
        if now != revision { forget(batches) }
        revision = now
        var isBehind = false
        for batch in active.keys where try await copyNext(batch) { isBehind = true }
        return isBehind
    }

    /// Brings the position of a batch in line with the journal.
    private func prepare(_ batch: BatchInfo) async throws {
        if batch.ending == nil {
            if feed[batch.id] == nil { feed[batch.id] = CopyPosition(offset: batch.previousEnd) }
            try await reportStop(of: batch)
        } else if active[batch.id] == nil {
            try await conclude(batch)
        }
    }

    private func forget(_ batches: [BatchInfo]) {
        let known = Dictionary(uniqueKeysWithValues: batches.map { ($0.id, $0) })
        let horizon = Timestamp.now + (.zero - Self.finishedMemory)
        for (batch, position) in feed.positions {
            guard let info = known[batch] else {
                feed[batch] = nil
                continue
            }
            if let ending = info.ending, position.hasCopied(ending), ending.at < horizon { feed[batch] = nil }
        }
    }

    private func closeReaders() async {
        for batch in active.keys {
            let reader = active[batch]?.reader
            active[batch]?.reader = nil
            active[batch]?.ahead = nil
            await reader?.cancel()
        }
    }
}

// MARK: - Looking for queues

extension FanOut {
    /// Finds out whether a queue is bound to the outcomes that the aggregator has read of a batch.
    private func look(_ batch: Name, _ news: FanOutFeed.News) async throws {
        ends[batch] = max(ends[batch] ?? 0, news.end)
        guard active[batch] == nil, let info = journal[batch] else { return }
        let position = feed[batch] ?? CopyPosition(offset: info.previousEnd)
        feed[batch] = position
        guard position.offset < news.end else { return }
        // If it fails, the log is read.
        active[batch] = Copying()
        // An example from before the position says nothing of what is after it, so the log is read then, too.
        let isCovered = news.examples.values.allSatisfy { $0.offset >= position.offset }
        guard news.start <= position.offset, isCovered else { return }
        var sent: Set<String> = []
        for (status, entry) in news.examples {
            guard let outcome = ResultMessage.outcomes(of: entry.message).first(where: { $0.status == status }) else {
                continue
            }
            let message = CopiedMessage.outcome(outcome, of: info)
            if try await topics.probe(message, to: topic) != .unbound { sent.insert(message.message.id) }
        }
        if sent.isEmpty {
            active[batch] = nil
            advance(batch, to: news.end)
        } else {
            active[batch]?.sent = sent
        }
    }

    private func advance(_ batch: Name, to offset: Int64) {
        guard var position = feed[batch], offset > position.offset else { return }
        position.offset = offset
        feed[batch] = position
        changed.notify()
    }
}

// MARK: - Copying

extension FanOut {
    /// Copies the next entries of a batch; returns whether there were any.
    private func copyNext(_ batch: Name) async throws -> Bool {
        guard let info = journal[batch], let position = feed[batch] else {
            await close(batch)
            return false
        }
        let end = info.ending?.endOffset ?? ends[batch] ?? 0
        guard position.offset < end else {
            if info.ending != nil {
                await close(batch)
                try await conclude(info)
            } else if let copying = active[batch], .now - copying.lastBound > Self.quiet {
                await close(batch)
            }
            return false
        }
        do {
            let chunk = try await read(batch, from: position.offset)
            let due = chunk.entries.prefix { $0.offset < end }
            let rest = Array(chunk.entries[due.endIndex...])
            active[batch]?.ahead = rest.isEmpty ? nil : LogChunk(entries: rest, nextOffset: chunk.nextOffset)
            // What is in the chunk was in the log before any of it is published.
            var unbound: Set<Outcome.Status> = []
            for entry in due {
                let start = ContinuousClock.now
                try await copy(entry, of: info, &unbound)
                advance(batch, to: entry.offset + 1)
                guard !isFinishing, feed.hasOutcomes(within: Self.runningTime) else { continue }
                try await Task.sleep(for: (.now - start) * Self.restraint)
            }
            advance(batch, to: rest.first?.offset ?? chunk.nextOffset)
        } catch let error as BrokerError where error.code == .notFound || error.code == .queueGone {
            advance(batch, to: end)
        }
        return true
    }

    private func close(_ batch: Name) async {
        let reader = active.removeValue(forKey: batch)?.reader
        ends[batch] = nil
        await reader?.cancel()
    }

    /// Returns the entries from an offset on, those that were read ahead first.
    private func read(_ batch: Name, from offset: Int64) async throws -> LogChunk {
        if let ahead = active[batch]?.ahead { return ahead }
        let log = client.names.results(batch: batch)
        if active[batch]?.reader == nil {
            active[batch]?.reader = try await client.broker.read(log, from: .offset(offset))
        }
        guard let reader = active[batch]?.reader else { throw CancellationError() }
        let chunk = try await withTimeLimit(Self.patience, "log '\(log)' cannot be read") { try await reader.next() }
        guard let chunk else { throw BrokerError(.closed, "the reader of log '\(log)' was closed") }
        return chunk
    }

    private func copy(_ entry: LogEntry, of batch: BatchInfo, _ unbound: inout Set<Outcome.Status>) async throws {
        var messages: [TopicMessage] = []
        for outcome in ResultMessage.outcomes(of: entry.message) {
            let status = outcome.status
            if unbound.contains(status) { continue }
            let message = CopiedMessage.outcome(outcome, of: batch)
            if active[batch.id]?.sent.remove(message.message.id) != nil { continue }
            if let until = active[batch.id]?.bound[status], .now < until {
                messages.append(message)
                continue
            }
            switch try await topics.probe(message, to: topic) {
            case .unbound:
                unbound.insert(status)
                continue
            case .delivered: break
            case .refused: try await publish([message], isRefused: true)
            }
            active[batch.id]?.bound[status] = .now + Self.memory
            active[batch.id]?.lastBound = .now
        }
        if !messages.isEmpty { try await publish(messages) }
    }

    /// Publishes messages; repeats what a queue refused, unless a queue was full a short time ago.
    private func publish(_ messages: [TopicMessage], isRefused: Bool = false) async throws {
        var refused = isRefused ? messages : try await refused(of: messages)
        guard !refused.isEmpty else { return }
        if fullUntil < .now {
            for pause in Self.pauses where !refused.isEmpty {
                try await Task.sleep(for: pause)
                refused = try await self.refused(of: refused)
            }
            if refused.isEmpty { return }
            fullUntil = .now + Self.fullTime
        }
        refusals += refused.count
        if let lastWarning, .now - lastWarning < .seconds(60) { return }
        lastWarning = .now
        let consequence = "a queue bound to exchange '\(topic)' is full; the other queues have them"
        client.logger.warning("\(refusals) copies of outcomes were refused so far: \(consequence)")
    }

    private func refused(of messages: [TopicMessage]) async throws -> [TopicMessage] {
        try await topics.publish(messages, toTopic: topic).map { messages[$0] }
    }
}

// MARK: - Ends and stops

extension FanOut {
    /// Copies the end of a batch once its outcomes are copied.
    private func conclude(_ batch: BatchInfo) async throws {
        guard let ending = batch.ending, var position = feed[batch.id], !position.hasCopied(ending) else { return }
        guard position.offset >= ending.endOffset else {
            active[batch.id] = Copying()
            return
        }
        let message = CopiedMessage.finished(batch)
        if try await topics.probe(message, to: topic) == .refused { try await publish([message], isRefused: true) }
        position.finished = ending.generation + 1
        feed[batch.id] = position
        changed.notify()
    }

    private func reportStop(of batch: BatchInfo) async throws {
        guard batch.stopped != nil, var position = feed[batch.id], position.stops != batch.continuations + 1 else {
            return
        }
        let message = CopiedMessage.stopped(BatchSummary(info: batch, progress: await progress(batch.id)))
        if try await topics.probe(message, to: topic) == .refused { try await publish([message], isRefused: true) }
        position.offset = feed[batch.id]?.offset ?? position.offset
        position.stops = batch.continuations + 1
        feed[batch.id] = position
        changed.notify()
    }
}
