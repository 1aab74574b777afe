import SheafBroker
import SheafCore

/// Follows one batch until nothing more happens to it, and aggregates meanwhile if nobody else does.
struct BatchWatch: Sendable {
    let client: SheafClient
    let reference: String

    func stream() -> AsyncThrowingStream<BatchSummary, any Error> {
        AsyncThrowingStream(bufferingPolicy: .bufferingNewest(1)) { continuation in
            let task = Task {
                do {
                    try await run { continuation.yield($0) }
                    continuation.finish()
                } catch {
                    continuation.finish(throwing: error)
                }
            }
            continuation.onTermination = { _ in task.cancel() }
        }
    }

    private func run(_ emit: @escaping @Sendable (BatchSummary) -> Void) async throws {
        let journal = try await Journal.read(from: client)
        let batch = try journal.find(reference).id
        let latest = LatestProgress()
        let questions = OpenQuestionCount()
        let changed = Changes()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await journal.run() }
            group.addTask { try await Aggregator(client: client, journal: journal).run() }
            group.addTask {
                try await client.broker.follow(client.names.progress, from: .last) { chunk in
                    await latest.apply(chunk)
                    changed.notify()
                    return true
                }
            }
            group.addTask { for await _ in journal.changes() { changed.notify() } }
            if journal[batch]?.options.isInteractive == true {
                group.addTask {
                    try await QuestionLog(client: client, batch: batch).followOpen { count in
                        await questions.set(count)
                        changed.notify()
                    }
                    // The log goes with its batch; what ends the watch is the journal.
                    for await _ in changed.stream() {}
                }
            }
            group.addTask {
                // A creator that dies says nothing, so somebody has to look.
                var interruptions = LastingInterruptions()
                while true {
                    try await Task.sleep(for: .seconds(2))
                    if journal[batch]?.cancelled != nil { continue }
                    let isInterrupted = try await BatchReader(client: client).isInterrupted(batch, journal)
                    guard interruptions.note(batch, isInterrupted: isInterrupted) else { continue }
                    throw SheafError(
                        .interrupted,
                        "batch '\(batch)' was never published in full and its creator is gone: it can not finish by itself; "
                            + "'sheaf create --resume \(batch)' publishes the rest"
                    )
                }
            }
            group.addTask {
                for await _ in changed.stream() {
                    guard let record = journal[batch] else { return }
                    var summary = BatchSummary(record: record, progress: await latest.batches[batch])
                    if record.ending == nil, record.cancelled == nil { summary.questions = await questions.count }
                    emit(summary)
                    if record.ending != nil || record.stopped != nil { return }
                    if summary.missing > 0 {
                        throw SheafError(
                            .interrupted,
                            "the broker has lost \(summary.missing) of the tasks of batch '\(batch)', so it can not finish by "
                                + "itself; 'sheaf retry \(batch) --missing' publishes them again"
                        )
                    }
                }
            }
            // The first to end is the last one; the others follow for ever, and so can only throw.
            try await group.next()
            group.cancelAll()
        }
        emit(try await client.batch(batch.text))
    }
}

/// How many questions of a batch are open.
private actor OpenQuestionCount {
    private(set) var count = 0

    func set(_ count: Int) { self.count = count }
}
