public import SheafCore
public import SheafDispatch
import SheafSources
import Synchronization

/// The behaviour that every request queue must have, as cases that the tests of a queue run one by one.
///
///     @Test(arguments: RequestQueueConformance.cases)
///     func conforms(to rule: RequestQueueConformanceCase) async throws {
///         try await rule.run { setup in try await MyQueue.open(address, setup) }
///     }
public enum RequestQueueConformance {
    /// All cases; each uses a name of its own.
    public static let cases: [RequestQueueConformanceCase] = adding + claiming + repeating
}

/// How a case wants a queue.
public struct RequestQueueSetup: Sendable {
    /// The name; queues of one name hold the same requests.
    public let name: Name
    /// The field that keeps requests apart, or nil.
    public let key: String?
    /// How many requests may wait, or nil.
    public let maxWaiting: Int?
    /// The clock that the queue has to use.
    public let clock: @Sendable () -> Timestamp
}

/// One rule that every request queue must follow.
public struct RequestQueueConformanceCase: Sendable, CustomStringConvertible {
    /// The rule as a sentence.
    public let name: String
    private let key: String?
    private let maxWaiting: Int?
    private let body: @Sendable (RequestQueueScene) async throws -> Void

    init(
        _ name: String,
        key: String? = nil,
        maxWaiting: Int? = nil,
        _ body: @escaping @Sendable (RequestQueueScene) async throws -> Void
    ) {
        self.name = name
        self.key = key
        self.maxWaiting = maxWaiting
        self.body = body
    }

    /// The rule as a sentence.
    public var description: String { name }

    /// Checks the rule and throws the first violation.
    ///
    /// - Parameters:
    ///   - limit: The time limit of the case.
    ///   - open: Opens the queue of a name; a second call opens it as another process does. Only a queue that ends with
    ///     its process may return the same object again.
    public func run(
        within limit: Duration = .seconds(60),
        open: @escaping @Sendable (RequestQueueSetup) async throws -> any RequestQueue
    ) async throws {
        let digits = String(UInt64.random(in: 0...UInt64.max), radix: 36)
        guard let name = Name("conformance-\(digits)") else { preconditionFailure("digits make a name") }
        let scene = RequestQueueScene(name: name, key: key, maxWaiting: maxWaiting, open: open)
        let body = body
        let outcome: Result<Void, any Error>
        do {
            try await withTimeout(limit, self.name) { try await body(scene) }
            outcome = .success(())
        } catch {
            outcome = .failure(error)
        }
        await scene.end()
        try outcome.get()
    }
}

/// What a case works with: a queue, and a clock that the case sets.
final class RequestQueueScene: Sendable {
    static let start = Timestamp(milliseconds: 1_800_000_000_000)

    private let name: Name
    private let key: String?
    private let maxWaiting: Int?
    private let make: @Sendable (RequestQueueSetup) async throws -> any RequestQueue
    private let time = Mutex(RequestQueueScene.start)
    private let opened = Mutex<[any RequestQueue]>([])

    init(
        name: Name,
        key: String?,
        maxWaiting: Int?,
        open: @escaping @Sendable (RequestQueueSetup) async throws -> any RequestQueue
    ) {
        (self.name, self.key, self.maxWaiting, make) = (name, key, maxWaiting, open)
    }

    var now: Timestamp { time.withLock { $0 } }

    func pass(_ duration: Duration) { time.withLock { $0 = $0 + duration } }

    /// Opens the queue, as another process does if it is open.
    func queue() async throws -> any RequestQueue {
        let setup = RequestQueueSetup(name: name, key: key, maxWaiting: maxWaiting) { [self] in now }
        let queue = try await make(setup)
        opened.withLock { $0.append(queue) }
        return queue
    }

    func end() async {
        for queue in opened.withLock({ $0 }) { await queue.close() }
    }

    /// Claims a group, considering all requests.
    func claim(
        _ queue: any RequestQueue,
        threshold: Int = 1000,
        bytes: Int = 1 << 30,
        age: Duration = .seconds(3600),
        arguments: JSONValue = [:]
    ) async throws -> RequestGroup? {
        try await queue.update()
        let rules = DispatchRules(
            queueThreshold: threshold,
            maxBytes: bytes,
            timeThreshold: age,
            arguments: arguments
        )
        return try await queue.claim(rules, at: now)
    }

    /// Returns all items of a group and checks their numbers.
    func items(_ queue: any RequestQueue, _ group: RequestGroup, from position: Int = 0) async throws -> [SourceItem] {
        var items: [SourceItem] = []
        for try await chunk in try await queue.requests(of: group, from: position) { items += chunk }
        try expectEqual(items.map(\.index), Array(position..<group.count), "numbers of the requests")
        return items
    }

    /// Claims and finishes all groups that are due, and returns their items.
    func drain(
        _ queue: any RequestQueue,
        threshold: Int = 1000,
        age: Duration = .zero
    ) async throws -> [(group: RequestGroup, items: [SourceItem])] {
        var all: [(RequestGroup, [SourceItem])] = []
        while let group = try await claim(queue, threshold: threshold, age: age) {
            all.append((group, try await items(queue, group)))
            try await queue.finish(group)
        }
        return all
    }
}

/// Returns requests with these numbers.
func numberedRequests(_ numbers: Range<Int>) -> [Record] {
    numbers.map { Record(id: "r\($0)", kind: .json, bytes: Array("{\"n\":\($0)}".utf8)) }
}
