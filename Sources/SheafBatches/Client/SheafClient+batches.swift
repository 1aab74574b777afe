public import SheafCore

extension SheafClient {
    /// All batches, oldest first, each as far as it is now.
    public func batches() async throws -> [BatchSummary] {
        try await BatchReader(client: self).summaries(in: Journal.read(from: self)) { _ in true }
    }

    /// A batch by its id, or the newest for `last`; throws `notFound`.
    public func batch(_ reference: String) async throws -> BatchSummary {
        let journal = try await Journal.read(from: self)
        let record = try journal.find(reference)
        let summaries = try await BatchReader(client: self).summaries(in: journal) { $0.id == record.id }
        guard let summary = summaries.first else {
            throw SheafError(.notFound, "batch '\(reference)' is gone")
        }
        return summary
    }

    /// Cancels a batch: what waits is dropped, what runs may finish, or is ended too with `now`.
    ///
    /// Throws `alreadyFinished` where the batch has ended, and `notFound`. Workers that start later see it as well.
    @discardableResult
    public func cancel(_ reference: String, now: Bool = false) async throws -> BatchSummary {
        try await Canceller(client: self).cancel(reference, now: now)
    }

    /// Follows a batch until it has ended, or its policy has stopped it; the last element is the final state.
    ///
    /// Elements come at most about once a second and whenever the journal tells of a change.
    public func progress(of reference: String) -> AsyncThrowingStream<BatchSummary, any Error> {
        BatchWatch(client: self, reference: reference).stream()
    }

    /// Waits until a batch has ended or its policy has stopped it; throws `timedOut` where that takes longer.
    public func wait(for reference: String, timeout: Duration? = nil) async throws -> BatchSummary {
        try await withTimeLimit(timeout, "batch \(reference) was not finished in time") {
            var latest: BatchSummary?
            for try await summary in self.progress(of: reference) { latest = summary }
            guard let latest else { throw SheafError(.notFound, "batch '\(reference)' is gone") }
            return latest
        }
    }

    /// The outcomes of a batch that are known now, one for each task that has one.
    ///
    /// In the order of the log, or by index when `ordered`.
    public func results(of reference: String, ordered: Bool = false) async throws -> BatchResults {
        try await BatchResults.open(client: self, reference: reference, ordered: ordered)
    }
}
