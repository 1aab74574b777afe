package import SheafCore
package import SheafFlows

/// A provider's batch API: many requests are submitted as one job, and the results are fetched when the job has ended.
///
/// A job of the provider is called a *submission*. Each has a key of ours, which the provider keeps, so that a
/// submission can be found if the answer to its creation was lost.
///
/// Every call throws a ``ProviderFailure``, or `CancellationError`.
package protocol BatchProvider: Sendable {
    /// Builds the requests and reads the answers.
    var flow: any ModelFlow { get }
    /// The address of the service; a submission is looked for only where it was made.
    var address: String { get }
    /// What the provider is asked for, for people.
    var use: String { get }
    /// How large a submission can be.
    var limits: BatchLimits { get }

    /// Whether the provider keeps our key or the uploaded requests with a submission, so that it is found at once.
    ///
    /// Without a handle, a submission may be known by its results only, and is looked for longer.
    var hasHandle: Bool { get }

    /// Returns the request of a task as a line of a submission.
    ///
    /// - Throws: ``FlowError`` if the task cannot be a request; it then fails without being submitted.
    func encode(_ task: FlowTask, id: String) throws(FlowError) -> BatchLine
    /// Prepares a submission; nothing runs yet, and nothing is paid for.
    ///
    /// A provider that takes files is given the requests. One that takes the requests with the creation is only asked
    /// for what a later look for the submission needs.
    func prepare(_ requests: BatchRequests, key: String) async throws -> Preparation
    /// Creates a prepared submission.
    ///
    /// - Parameter requests: The requests; nil if another run has prepared the submission, which happens only if
    ///   ``hasHandle`` is true.
    func create(_ preparation: Preparation, _ requests: BatchRequests?, key: String, batch: Name) async throws
        -> SubmissionState
    /// Returns the submissions that may have been created from a preparation.
    ///
    /// - Parameter requests: How many requests the submission has.
    func find(_ preparation: Preparation, key: String, requests: Int) async throws -> SubmissionMatches
    /// Returns the state of a submission.
    func poll(_ id: String) async throws -> SubmissionState
    /// Reads the results of a submission that has ended, in any order and in constant memory.
    ///
    /// - Returns: How many results there are, and how many lines could not be read.
    func read(_ state: SubmissionState, _ each: (BatchRow) async throws -> Void) async throws -> RowCounts
    /// Returns how a task ended.
    func result(of row: BatchRow, for task: FlowTask) -> Result<FlowOutput, FlowError>
    /// Asks for the end of a submission.
    func cancel(_ id: String) async throws
    /// Deletes what was uploaded to prepare a submission.
    func remove(_ preparation: Preparation) async throws
    /// Closes the connections.
    func shutDown() async
}

/// How large a submission can be.
package struct BatchLimits: Sendable, Equatable {
    /// The most requests.
    package var requests: Int
    /// The most inputs of all requests together.
    package var inputs: Int
    /// The most bytes of all requests together.
    package var bytes: Int

    package init(requests: Int, inputs: Int, bytes: Int) {
        self.requests = requests
        self.inputs = inputs
        self.bytes = bytes
    }
}

/// The request of a task in a submission.
package struct BatchLine: Sendable {
    /// The line, without a line break at its end.
    package var bytes: [UInt8]
    /// The model that is asked; a submission asks one.
    package var model: String
    /// How many inputs the request has.
    package var inputs: Int

    package init(bytes: [UInt8], model: String, inputs: Int = 1) {
        self.bytes = bytes
        self.model = model
        self.inputs = inputs
    }
}

extension BatchProvider {
    package var hasHandle: Bool { true }
}

/// The requests of a submission in a temporary file, each on a line.
package struct BatchRequests: Sendable {
    package var spool: SpoolFile
    /// The bytes of the file.
    package var size: Int
    /// How many requests there are.
    package var count: Int
    /// The model that all of them ask.
    package var model: String
    /// About how many tokens they have at most.
    package var tokens: Int

    package init(spool: SpoolFile, size: Int, count: Int, model: String, tokens: Int = 0) {
        self.spool = spool
        self.size = size
        self.count = count
        self.model = model
        self.tokens = tokens
    }
}

/// What is known of a submission before it is created, by which it can be found.
package struct Preparation: Sendable, Equatable {
    /// The provider's id of the uploaded requests, or of the submission that was its newest before.
    package var id: String
    /// The time of the preparation, in seconds since 1970 by the provider's clock; 0 if it is unknown.
    package var createdAt: Int
    /// The model that is asked, if the creation must name it.
    package var model: String

    package init(id: String, createdAt: Int, model: String = "") {
        self.id = id
        self.createdAt = createdAt
        self.model = model
    }
}

/// The submissions of a provider that may be the one that is looked for.
package struct SubmissionMatches: Sendable, Equatable {
    /// Those that are certainly meant, the oldest first.
    package var certain: [SubmissionState]
    /// Those of which it is unknown until they have ended, the oldest first.
    package var possible: [SubmissionState]

    package init(certain: [SubmissionState] = [], possible: [SubmissionState] = []) {
        self.certain = certain
        self.possible = possible
    }
}

/// The state of a submission as the provider reports it.
package struct SubmissionState: Sendable, Equatable {
    /// Where a submission is on its way.
    package enum Phase: Sendable, Equatable {
        /// It waits or runs, or the state is unknown.
        case running
        /// It has ended, was cancelled, or has expired. There may be results.
        case ended
        /// It was refused as a whole, and the same requests may be accepted later.
        case refusedForNow(String)
        /// It was refused as a whole.
        case refused(String)
    }

    /// The provider's id.
    package var id: String
    package var phase: Phase
    /// The files with results.
    package var files: [String] = []
    /// How many requests have a result, as far as the provider counts them.
    package var counted = 0
    /// When it was created, in seconds since 1970 by the provider's clock; 0 if it is unknown.
    package var createdAt = 0
    /// The time that the provider asks to wait until the next look; nil if it gave none.
    package var retryAfter: Duration?

    package init(id: String, phase: Phase) {
        self.id = id
        self.phase = phase
    }
}

/// The result of a request.
package struct BatchRow: Sendable, Equatable {
    /// What the provider says about the request.
    package enum Content: Sendable, Equatable {
        /// The request was answered with this status and body.
        case answer(status: Int, body: JSONValue)
        /// The request failed without an answer.
        case failure(FlowError)
        /// The request did not run.
        case notRun
    }

    /// The id that the request was given.
    package var id: String
    package var content: Content

    package init(id: String, content: Content) {
        self.id = id
        self.content = content
    }
}

/// What was read of a submission's results.
package struct RowCounts: Sendable, Equatable {
    /// The results.
    package var rows = 0
    /// The lines that are no results.
    package var damaged = 0

    package init() {}
}

/// Why a call to a provider failed, and what is known about its effect.
package enum ProviderFailure: Error, Sendable, Equatable {
    /// The provider refused the request, and would refuse it again. It had no effect.
    case refused(FlowError)
    /// The provider asks to try again later. The request had no effect.
    case later(FlowThrottle)
    /// There is no usable answer. The request may have had its effect.
    case unclear(FlowError)
    /// What the request is about does not exist.
    case absent(FlowError)

    /// What happened, for people.
    package var message: String {
        switch self {
        case .refused(let error), .unclear(let error), .absent(let error): error.message
        case .later(let throttle): throttle.message
        }
    }
}
