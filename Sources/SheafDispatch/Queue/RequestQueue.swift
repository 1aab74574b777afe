public import SheafCore
public import SheafSources

/// Requests that have no batch yet: a stream of records from any number of senders, until a ``Dispatcher`` has put each
/// into a batch.
///
/// A queue decides which requests form the next batch, and keeps the decision: after a crash it returns the same group
/// again, with the same batch id and the same requests in the same order. A request leaves the queue only with
/// ``finish(_:)``, after its batch is confirmed.
///
/// The conformance suite `RequestQueueConformance` in SheafTesting holds every implementation to these rules.
public protocol RequestQueue: Sendable {
    /// The name, for messages and for the tags of batches.
    var name: Name { get }

    /// Adds requests in order, and returns once all of them are stored.
    ///
    /// A request is a record whose id was chosen by its sender or with ``RequestID``. A repeat of a recent request with
    /// the same id and the same bytes is dropped. With other bytes it becomes a failed task of its batch.
    /// - Throws: ``RequestQueueError`` with `full` or `invalid`, in which case the queue has none of them, or an error
    ///   of the store, in which case it may have any of them.
    func add(_ requests: [Record]) async throws
    /// Returns how many requests wait for a batch, including all whose addition has returned before the call.
    func waiting() async throws -> WaitingRequests
    /// Makes all requests due that wait now.
    func flush() async throws

    /// Returns once ``claim(_:at:)`` considers all requests whose addition has returned before the call.
    func update() async throws
    /// Decides which requests form the next batch, or returns an earlier group that is not finished; nil if no group is
    /// due.
    ///
    /// A group is due if it has as many requests or bytes as the rules say, if its oldest request is old enough, or
    /// after ``flush()``.
    /// - Throws: ``RequestQueueError`` with `busy` if another process decides for this queue.
    func claim(_ rules: DispatchRules, at now: Timestamp) async throws -> RequestGroup?
    /// Reads the requests of a group from a position on, in the same order each time; in constant memory.
    ///
    /// The place of an item is the id of its request. What is no valid request is an invalid item.
    func requests(
        of group: RequestGroup,
        from position: Int
    ) async throws -> AsyncThrowingStream<[SourceItem], any Error>
    /// Removes the requests of a group whose batch is confirmed.
    func finish(_ group: RequestGroup) async throws

    /// A stream with an element at first, and whenever there may be a new group.
    func changes() async -> AsyncStream<Void>
    /// Ends the use of the queue by this process; another one may then decide for it.
    func close() async
}

/// When requests become a batch.
public struct DispatchRules: Sendable, Equatable {
    /// The number of requests that makes a batch.
    public var queueThreshold: Int
    /// The number of bytes that a batch has at most, unless a single request has more.
    public var maxBytes: Int
    /// The age of its oldest request that makes a batch.
    public var timeThreshold: Duration
    /// Shared arguments, an object: a request that is an object gets those members that it does not have.
    public var arguments: JSONValue

    /// Creates rules; thresholds below 1 count as 1.
    public init(
        queueThreshold: Int = 50_000,
        maxBytes: Int = 200_000_000,
        timeThreshold: Duration = .seconds(2 * 60 * 60),
        arguments: JSONValue = [:]
    ) {
        self.queueThreshold = max(1, queueThreshold)
        self.maxBytes = max(1, maxBytes)
        self.timeThreshold = timeThreshold
        self.arguments = arguments
    }
}

/// Requests that belong into one batch.
public struct RequestGroup: Sendable, Equatable {
    /// The id of their batch.
    public let batch: Name
    /// What they have in common, if the queue keeps requests with different keys apart.
    public let key: String?
    /// Their number.
    public let count: Int
    /// Shared arguments, an object.
    public let arguments: JSONValue

    /// Describes a group.
    public init(batch: Name, key: String?, count: Int, arguments: JSONValue) {
        self.batch = batch
        self.key = key
        self.count = count
        self.arguments = arguments
    }
}

/// How many requests wait.
public struct WaitingRequests: Sendable, Equatable {
    /// How many requests no group has yet.
    public var count: Int
    /// Their size in bytes.
    public var bytes: Int
    /// When the oldest of them was added, by the clock of its sender; nil if there is none.
    public var oldest: Timestamp?

    /// Describes requests.
    public init(count: Int = 0, bytes: Int = 0, oldest: Timestamp? = nil) {
        self.count = count
        self.bytes = bytes
        self.oldest = oldest
    }
}

/// A request that a queue cannot carry out.
public struct RequestQueueError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The kind of an error.
    public enum Code: Sendable {
        /// More requests would wait than are allowed.
        case full
        /// A request has no id, or is too large.
        case invalid
        /// Another process decides for the queue.
        case busy
        /// The store of the requests cannot be reached now.
        case unreachable
        /// The store refuses the credentials or a command.
        case refused
    }

    /// The kind.
    public let code: Code
    /// What failed and why.
    public let message: String

    /// Creates an error.
    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// The message.
    public var description: String { message }

    package static func full(_ queue: Name, waiting: Int, adding: Int, limit: Int) -> RequestQueueError {
        RequestQueueError(
            .full,
            "\(waiting) requests of '\(queue)' wait, and \(adding) more would exceed the limit of \(limit)"
        )
    }

    package static func notClaimed(_ batch: Name, _ queue: Name) -> RequestQueueError {
        RequestQueueError(.invalid, "no requests of '\(queue)' wait for batch '\(batch)'")
    }
}

/// The ids of requests.
public enum RequestID {
    /// The largest size of an id in bytes.
    public static let maximumSize = 255

    /// Creates an id that is unique in practice: the name of the queue and 16 random characters.
    public static func random(in queue: Name) -> String {
        let alphabet = Array("0123456789abcdefghjkmnpqrstvwxyz".utf8)
        let digits = (0..<16).map { _ in alphabet[Int.random(in: 0..<32)] }
        return "\(queue.text).\(String(decoding: digits, as: UTF8.self))"
    }

    /// Throws if a request cannot be added.
    package static func check(_ request: Record) throws(RequestQueueError) {
        if request.id.isEmpty || request.id.utf8.count > maximumSize {
            throw RequestQueueError(
                .invalid,
                "the id of request '\(request.id.prefix(40))' has \(request.id.utf8.count) bytes; the limits are 1 and "
                    + "\(maximumSize)"
            )
        }
        if request.bytes.count > Record.maximumSize {
            throw RequestQueueError(
                .invalid,
                "request '\(request.id)' has \(request.bytes.count) bytes; the limit is \(Record.maximumSize)"
            )
        }
    }
}
