import Foundation
import Logging
import ServiceLifecycle
import SheafBatchKit
import SheafTestSupport
import SheafTestTools
import Synchronization
import Testing

/// A folder of one test with a broker in it.
struct Scene: Sendable {
    let folder: String

    var store: BrokerReference { .embedded(directory: folder) }

    /// Runs the body in a new folder, within a time-out.
    static func with(
        timeout: Duration = .seconds(100),
        _ body: @escaping @Sendable (Scene) async throws -> Void
    ) async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "sheaf-kit-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask {
                try await body(Scene(folder: folder))
                return true
            }
            group.addTask {
                try await Task.sleep(for: timeout)
                return false
            }
            defer { group.cancelAll() }
            let isDone = try await group.next()
            #expect(isDone == true, "the test took longer than \(timeout)")
        }
    }

    static var silent: Logger {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        return logger
    }

    /// Runs the body with a connection of its own.
    func client<Result: Sendable>(_ body: (SheafClient) async throws -> Result) async throws -> Result {
        try await SheafClient.withClient(broker: store, logger: Self.silent, body)
    }
}

/// Runs the body while a service runs, and shuts the service down afterwards.
func running<Result: Sendable>(_ services: any Service..., body: () async throws -> Result) async throws -> Result {
    let group = ServiceGroup(services: services, logger: Scene.silent)
    return try await withThrowingTaskGroup(of: Void.self) { tasks in
        tasks.addTask { try await group.run() }
        let result = try await body()
        await group.triggerGracefulShutdown()
        try await tasks.waitForAll()
        return result
    }
}

/// Returns requests whose texts are numbers, as the servers of the tests expect.
func numbered(_ numbers: some Sequence<Int>) -> [BatchRequest] {
    numbers.map { BatchRequest(id: "req-\($0)", messages: [["role": "user", "content": .string("\($0)")]]) }
}

/// What was called, in order.
final class Calls: Sendable {
    private let list = Mutex<[String]>([])

    var all: [String] { list.withLock { $0 } }

    func note(_ call: String) { list.withLock { $0.append(call) } }

    func count(_ call: String) -> Int { all.count { $0 == call } }
}

/// Waits until a condition holds.
func eventually(
    _ what: Comment,
    at place: SourceLocation = #_sourceLocation,
    _ condition: () async throws -> Bool
) async throws {
    try await until(what, limit: .seconds(60), at: place, condition)
}
