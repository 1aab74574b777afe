import OrderedCollections

/// A job of a provider with the requests of many tasks of a batch, as the log of submissions describes it.
public struct Submission: Sendable, Equatable {
    /// How far a submission is.
    public enum State: String, Sendable, CaseIterable {
        /// Its requests are uploaded.
        case uploading
        /// The provider has its requests, and is asked to create it.
        case creating
        /// The provider works on it.
        case running
        /// It may exist, but cannot be found. Its tasks wait.
        case unclear
        /// It has ended, and its results were read.
        case ended
        /// The provider refused it as a whole.
        case refused
        /// The provider no longer has it or its results.
        case lost
        /// It was cancelled at the provider, because its results are no longer wanted.
        case discarded
        /// A user decided that it was not created.
        case notCreated = "not-created"
        /// Its batch is over, and nothing more is done about it.
        case abandoned

        /// Whether nothing more happens to it.
        public var isFinal: Bool {
            switch self {
            case .uploading, .creating, .running, .unclear: false
            case .ended, .refused, .lost, .discarded, .notCreated, .abandoned: true
            }
        }
    }

    /// What a user decided about an unclear submission.
    public enum Resolution: Sendable, Hashable {
        /// It is the submission with this id of the provider.
        case created(String)
        /// It was not created.
        case notCreated
    }

    /// Our name of it, which the provider keeps if it can.
    public var key: String
    /// The batch.
    public var batch: Name
    /// The flow.
    public var flow: Name
    /// The state.
    public var state = State.uploading
    /// The address of the service; empty if it is not known.
    public var address = ""
    /// The provider's id of the uploaded requests; nil if there are none.
    public var file: String?
    /// The provider's id of the submission; nil if it is not known.
    public var id: String?
    /// The number of requests.
    public var requests = 0
    /// The number of results so far, as the provider counts them, and in the end as they were read.
    public var results = 0
    /// The number of requests that ended without a result; they are submitted again.
    public var missing = 0
    /// The usage of the results that were read.
    public var usage = Usage()
    /// What is wrong, for people; empty if nothing is.
    public var message = ""
    /// Why the last decision about it could not be followed, for people; empty if it was not so.
    public var rejection = ""
    /// The worker that wrote about it last.
    public var worker = ""
    /// When it was announced.
    public var announcedAt: Timestamp
    /// When a worker last wrote about it.
    public var changedAt: Timestamp
    /// The user who wants it to be cancelled; nil if there is none.
    public var cancelledBy: String?
    /// What was decided about it while it was unclear; nil if nothing was.
    public var resolution: Resolution?
    /// The id of the bulk whose tasks it has, as in their leases.
    package var bulk: String?
    /// About how many tokens it has; 0 if it has reserved none.
    package fileprivate(set) var tokens = 0
    /// The model that it asks; empty if it has reserved no tokens.
    fileprivate var model = ""
    /// Which submission it is of those that have reserved tokens; nil if it is none of them.
    fileprivate var place: Int?

    init(_ entry: SubmissionEntry) {
        key = entry.key
        (batch, flow) = (entry.batch, entry.flow)
        (announcedAt, changedAt) = (entry.at, entry.at)
    }

    /// Creates a submission that was announced at a time.
    package init(key: String, batch: Name, flow: Name, announcedAt: Timestamp) {
        (self.key, self.batch, self.flow) = (key, batch, flow)
        (self.announcedAt, self.changedAt) = (announcedAt, announcedAt)
    }

    /// The provider's id, or our name of it as long as there is none.
    public var name: String { id ?? key }
}

/// The submissions of all batches: the fold of the log of submissions.
///
/// A final state stays. Of several decisions about a submission, the first counts.
package struct Submissions: Sendable, Equatable {
    /// The number of submissions in a final state that are remembered.
    package static let mostFinal = 10_000

    private var submissions: OrderedDictionary<String, Submission> = [:]
    private var finalCount = 0
    private var reservations = 0

    package init() {}

    /// The submission with a key of ours; nil if it is not known.
    package subscript(_ key: String) -> Submission? { submissions[key] }

    /// The submissions, the oldest first.
    package var all: some Sequence<Submission> { submissions.values }

    /// Returns the submissions whose tokens come before those of another one with the same model: the provider has them,
    /// or they have reserved theirs earlier.
    ///
    /// A bulk has one submission at a time, so an earlier one of the same bulk has ended, even if the log lacks that.
    package func ahead(of key: String) -> [Submission] {
        guard let own = submissions[key], let place = own.place else { return [] }
        return submissions.values.filter { other in
            guard other.key != key, other.bulk == nil || other.bulk != own.bulk, !other.state.isFinal,
                other.model == own.model, other.address == own.address, let otherPlace = other.place
            else { return false }
            return otherPlace < place || other.state == .running || other.state == .unclear
        }
    }

    /// Applies an entry.
    package mutating func apply(_ entry: SubmissionEntry) {
        switch entry.event {
        case .cancelRequested, .resolved:
            // A decision is about something that is known.
            guard var known = submissions[entry.key] else { return }
            known.decide(entry)
            submissions[entry.key] = known
        default:
            var submission = submissions[entry.key] ?? Submission(entry)
            if submission.state.isFinal { return }
            submission.report(entry)
            if case .reserved = entry.event, submission.place == nil {
                submission.place = reservations
                reservations += 1
            }
            submissions[entry.key] = submission
            if submission.state.isFinal { finalCount += 1 }
        }
        if finalCount > Self.mostFinal + Self.mostFinal / 10 { forget() }
    }

    /// Drops the oldest submissions that are in a final state.
    private mutating func forget() {
        var surplus = finalCount - Self.mostFinal
        submissions = submissions.filter { entry in
            guard surplus > 0, entry.value.state.isFinal else { return true }
            surplus -= 1
            return false
        }
        finalCount = Self.mostFinal
    }
}

extension Submission {
    fileprivate mutating func decide(_ entry: SubmissionEntry) {
        switch entry.event {
        case .cancelRequested where !state.isFinal: cancelledBy = cancelledBy ?? entry.by
        case .resolved(let id) where state == .unclear:
            if resolution == nil { rejection = "" }
            resolution = resolution ?? id.map { .created($0) } ?? .notCreated
        default: break
        }
    }

    fileprivate mutating func report(_ entry: SubmissionEntry) {
        (worker, changedAt) = (entry.by, max(changedAt, entry.at))
        bulk = entry.bulk ?? bulk
        switch entry.event {
        case .announced(let address): self.address = address
        case .reserved(let tokens, let model): (self.tokens, self.model) = (tokens, model)
        case .waiting(let message): self.message = message
        case .uploaded(let file, let requests):
            (self.file, self.requests) = (file, requests)
            if state == .uploading { (state, message) = (.creating, "") }
        case .created(let id, let requests):
            (self.id, self.requests) = (id, requests)
            (state, message, rejection) = (.running, "", "")
        case .counted(let results): self.results = results
        case .unclear(let message): (state, self.message) = (.unclear, message)
        case .ended(let answered, let missing, let usage):
            (state, results, self.missing, self.usage) = (.ended, answered, missing, usage)
            message = ""
        case .refused(let message): (state, self.message) = (.refused, message)
        case .lost(let message): (state, self.message) = (.lost, message)
        case .rejected(let message): (resolution, rejection) = (nil, message)
        case .discarded: state = .discarded
        case .dropped: state = .notCreated
        case .cancelRequested, .resolved: break
        }
    }
}
