import SheafBroker
public import SheafCore

extension SheafClient {
    /// The submissions of one batch, or of all batches, oldest first.
    ///
    /// The oldest that have ended are forgotten after some time, and so are those of deleted batches.
    ///
    /// - Throws: ``SheafError`` with `notFound` if the batch does not exist.
    public func submissions(of reference: String? = nil) async throws -> [Submission] {
        let journal = try await Journal.read(from: self)
        let batch = try reference.map { try journal.find($0).id }
        return try await SubmissionReader(client: self).catchUp().all.compactMap { submission in
            guard batch ?? submission.batch == submission.batch, let info = journal[submission.batch] else {
                return nil
            }
            return submission.seen(in: info)
        }
    }

    /// A submission by the provider's id or by our name of it.
    ///
    /// - Throws: ``SheafError`` with `notFound`, or with `invalid` if several have that id.
    public func submission(_ reference: String) async throws -> Submission {
        let all = try await submissions()
        let found = all.filter { $0.key == reference }
        let named = found.isEmpty ? all.filter { $0.id == reference } : found
        guard let first = named.first else {
            throw SheafError(.notFound, "submission '\(reference)' does not exist", advice: .listSubmissions)
        }
        guard named.count == 1 else {
            throw SheafError(
                .invalid,
                "\(named.count) bulks have a part of submission '\(reference)'; name one of them: "
                    + named.map(\.key).joined(separator: ", ")
            )
        }
        return first
    }

    /// Asks the worker that follows a submission to cancel it at the provider.
    ///
    /// Its results so far count, and what has none is submitted again. The worker does it when it next looks at the
    /// submission.
    ///
    /// - Throws: ``SheafError`` with `notFound`, or with `alreadyFinished` if nothing more happens to it.
    public func cancelSubmission(_ reference: String, by author: String) async throws -> Submission {
        let submission = try await submission(reference)
        if submission.state.isFinal { throw Self.over(submission) }
        try await append(.cancelRequested, to: submission, by: author)
        return try await self.submission(submission.key)
    }

    /// Decides about an unclear submission: which submission of the provider it is, or that it was not created.
    ///
    /// If it was not created, its requests are submitted again. The first decision counts.
    ///
    /// - Throws: ``SheafError`` with `notFound`; `notNow` if it is not unclear; `invalid` if the id cannot be one; or
    ///   `alreadyFinished` if something else was decided, or nothing more happens to it.
    public func resolveSubmission(
        _ reference: String,
        as resolution: Submission.Resolution,
        by author: String
    ) async throws -> Submission {
        let submission = try await submission(reference)
        if submission.state.isFinal { throw Self.over(submission) }
        guard submission.state == .unclear else {
            throw SheafError(
                .notNow,
                "submission '\(submission.name)' is \(submission.state.rawValue); only an unclear one needs a decision"
            )
        }
        switch resolution {
        case .created(let id):
            guard Self.isID(id) else { throw SheafError(.invalid, "'\(id)' is not the id of a submission") }
            try await append(.resolved(id: id), to: submission, by: author)
        case .notCreated: try await append(.resolved(id: nil), to: submission, by: author)
        }
        let after = try await self.submission(submission.key)
        if let counted = after.resolution, counted != resolution {
            let decision = if case .created(let id) = counted { "it is '\(id)'" } else { "it was not created" }
            throw SheafError(.alreadyFinished, "it was already decided about '\(submission.name)' that \(decision)")
        }
        return after
    }

    /// Passes the tasks of a submission's bulk to the body, as they were when it took them.
    ///
    /// They are read from the results log, so they are available as long as the batch is, also after the provider has
    /// deleted the requests. A task that was taken by the bulk and did not fit into this submission is among them.
    package func tasks(of submission: Submission, _ body: (BatchTask) async throws -> Void) async throws {
        guard let bulk = submission.bulk else { return }
        let log = names.results(batch: submission.batch)
        try await broker.entries(of: log, from: .first, upTo: broker.presentEnd(of: log)) { entry in
            guard TaskLease(entry.message)?.bulk == bulk, let task = TaskLease.task(of: entry.message) else { return }
            try await body(task)
        }
    }

    private func append(_ event: SubmissionEntry.Event, to submission: Submission, by author: String) async throws {
        let entry = SubmissionEntry(
            key: submission.key,
            batch: submission.batch,
            flow: submission.flow,
            at: .now,
            by: author,
            event: event
        )
        try await retrying(for: .seconds(15)) {
            try await broker.append(entry.message, to: names.submissions)
        }
    }

    private static func over(_ submission: Submission) -> SheafError {
        SheafError(
            .alreadyFinished,
            "submission '\(submission.name)' is \(submission.state.rawValue); nothing more happens to it"
        )
    }

    /// Whether a string can be the id of a provider's object, and a part of a URL.
    private static func isID(_ text: String) -> Bool {
        (1...SubmissionEntry.longestID).contains(text.utf8.count) && !text.contains("..")
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"):
                    true
                default: "-_.:/".utf8.contains(byte)
                }
            }
    }
}

extension Submission {
    /// The submission as it is in its batch: nothing more happens to it if the batch is over.
    func seen(in batch: BatchInfo) -> Submission {
        guard !state.isFinal, batch.ending != nil else { return self }
        var submission = self
        submission.state = .abandoned
        return submission
    }
}
