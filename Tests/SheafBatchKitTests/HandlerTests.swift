import Foundation
import Glibc
import SheafBatchKit
import SheafCore
import SheafTestSupport
import SheafTestTools
import Synchronization
import Testing

@Suite("The batch handler", .timeLimit(.minutes(4)))
struct HandlerTests {
    private struct Refused: Error {}

    /// Returns a handler of batches whose tasks return their record's number.
    private static func handler(
        _ client: SheafClient,
        maximumRunning: Int = 4,
        queue: (any BatchQueue)? = nil,
        storage: (any BatchStorage)? = nil,
        errorPolicy: ErrorPolicy = .continue,
        flow: @escaping @Sendable (FlowTask) async throws -> FlowOutput = { .value(try $0.record.json["n"] ?? .null) },
        onFailure: BatchHandler.Function? = nil,
        process: @escaping BatchHandler.Function
    ) throws -> BatchHandler {
        BatchHandler(
            client: client,
            name: "work",
            definition: try FlowDefinition.work(flow),
            options: BatchOptions(errorPolicy: errorPolicy),
            maximumRunning: maximumRunning,
            retryDelay: (.milliseconds(5), .milliseconds(50)),
            queue: queue,
            storage: storage,
            logger: Scene.silent,
            onFailure: onFailure,
            process: process
        )
    }

    private static func requests(_ numbers: Range<Int>) -> [BatchRequest] {
        numbers.map { BatchRequest(id: "r\($0)", body: ["n": .integer($0)]) }
    }

    @Test("A function that throws every third time processes each batch in the end")
    func throwing() async throws {
        try await Scene.with { scene in
            try await scene.client { client in
                let calls = Atomic(0)
                let processed = Calls()
                let handler = try Self.handler(client) { batch in
                    if calls.wrappingAdd(1, ordering: .relaxed).newValue.isMultiple(of: 3) { throw Refused() }
                    let results = try await batch.results()
                    #expect(batch.counts.succeeded == 2 && results.count == 2)
                    processed.note(batch.id.text)
                }
                try await running(handler) {
                    var added: [String] = []
                    for number in 0..<8 { added.append(try await handler.add(Self.requests(number..<number + 2)).text) }
                    try await eventually("all are processed") { try await handler.unfinished().isEmpty }
                    #expect(processed.all.sorted() == added.sorted())
                }
            }
        }
    }

    @Test("Batches that were stopped, cancelled or deleted, and unknown ones, reach the other function")
    func failures() async throws {
        try await Scene.with { scene in
            try await scene.client { client in
                let (processed, failed) = (Calls(), Calls())
                let handler = try Self.handler(client, errorPolicy: .stop(above: 1)) { task in
                    guard try task.record.json["n"] != 13 else { throw FlowError(type: "thirteen", message: "no") }
                    return .value(1)
                } onFailure: { batch in
                    failed.note("\(batch.id) \(batch.failure.map { "\($0)" } ?? "")")
                    if failed.all.count == 1 { throw Refused() }
                } process: { batch in
                    processed.note(batch.id.text)
                }
                let unlucky = (0..<40).map { BatchRequest(id: "u\($0)", body: ["n": 13]) }
                for (id, requests) in [("good", Self.requests(0..<2)), ("stopped", unlucky)] as [(Name, [BatchRequest])]
                {
                    #expect(try await handler.add(requests, id: id) == id)
                }
                try await handler.add(Self.requests(0..<2), id: "cancelled")
                try await handler.add(Self.requests(0..<2), id: "deleted")
                try await client.cancel("cancelled")
                try await client.delete("deleted", force: true)
                try await BrokerBatchQueue(client: client, name: "work").add(["unknown"])
                let error = await #expect(throws: SheafError.self) { try await handler.add("nonexistent") }
                #expect(error?.code == .notFound)
                try await running(handler) {
                    try await eventually("all are processed") { try await handler.unfinished().isEmpty }
                }
                #expect(processed.all == ["good"])
                let words = Set(failed.all.map { $0.prefix { $0 != " " } })
                #expect(words == ["stopped", "cancelled", "deleted", "unknown"], "\(failed.all)")
                #expect(failed.all.count == 5, "the first call threw, and was repeated: \(failed.all)")
            }
        }
    }

    @Test("At most so many batches run at once, and a paused one waits for its resumption")
    func quota() async throws {
        try await Scene.with { scene in
            try await scene.client { client in
                let running2 = Mutex<(now: [Name: Int], most: Int)>(([:], 0))
                let processed = Calls()
                let handler = try Self.handler(client, maximumRunning: 2) { task in
                    running2.withLock { running in
                        running.now[task.batch, default: 0] += 1
                        running.most = max(running.most, running.now.count { $0.value > 0 })
                    }
                    try await Task.sleep(for: .milliseconds(50))
                    running2.withLock { $0.now[task.batch, default: 0] -= 1 }
                    return .value(0)
                } process: { batch in
                    processed.note(batch.id.text)
                }
                for number in 0..<6 {
                    try await handler.add(Self.requests(0..<8), id: Name("b\(number)"))
                }
                try await client.pause("b5")
                try await running(handler) {
                    try await eventually("five are processed") { try await handler.unfinished() == ["b5"] }
                    try await client.resume("b5")
                    try await eventually("all are processed") { try await handler.unfinished().isEmpty }
                }
                #expect(processed.all.count == 6)
                #expect(running2.withLock { $0.most } == 2)
            }
        }
    }

    @Test("Of two handlers one handles, and the other takes over; both may add")
    func twoHandlers() async throws {
        try await Scene.with { scene in
            try await scene.client { client in
                try await scene.client { other in
                    let now = Atomic(0)
                    let most = Atomic(0)
                    let processed = Calls()
                    let process: BatchHandler.Function = { batch in
                        let count = now.wrappingAdd(1, ordering: .relaxed).newValue
                        most.max(count, ordering: .relaxed)
                        try await Task.sleep(for: .milliseconds(10))
                        now.wrappingSubtract(1, ordering: .relaxed)
                        processed.note(batch.id.text)
                    }
                    let (first, second) = (
                        try Self.handler(client, process: process), try Self.handler(other, process: process)
                    )
                    try await running(second) {
                        try await running(first) {
                            for number in 0..<6 {
                                try await (number.isMultiple(of: 2) ? first : second).add(
                                    Self.requests(0..<1),
                                    id: Name("b\(number)")
                                )
                            }
                            try await eventually("all are processed") { try await second.unfinished().isEmpty }
                        }
                        // One of them has left.
                        try await first.add(Self.requests(0..<1), id: "seventh")
                        try await eventually("the other goes on") { try await first.unfinished().isEmpty }
                    }
                    #expect(processed.all.sorted() == (0..<6).map { "b\($0)" } + ["seventh"])
                    #expect(most.load(ordering: .relaxed) == 1)
                }
            }
        }
    }

    @Test("A queue and a storage of one's own: a batch is on the broker only once it runs")
    func ownParts() async throws {
        try await Scene.with { scene in
            try await scene.client { client in
                let (parts, processed) = (FileParts(folder: "\(scene.folder)/parts"), Calls())
                let handler = try Self.handler(client, queue: parts, storage: parts) { batch in
                    let results = try await batch.partitionedResults()
                    #expect(results.successful.map(\.id) == ["r0", "r1", "r2"] && results.unsuccessful.isEmpty)
                    processed.note(batch.id.text)
                }
                try await handler.add(Self.requests(0..<3), id: "one")
                try await parts.save(Self.requests(0..<3), of: "two")
                try await handler.add("two")
                #expect(try await client.batches().isEmpty)
                // As if an earlier handler had died while it published the batch.
                _ = try await client.create(
                    BatchPlan(flow: "work", id: "one"),
                    records: records(of: Self.requests(0..<3))
                )
                try await running(handler) {
                    try await eventually("both are processed") { try await handler.unfinished().isEmpty }
                }
                #expect(processed.all.sorted() == ["one", "two"])
                #expect(try await parts.load("one") == nil)
            }
        }
    }

    private func records(of requests: [BatchRequest]) -> AsyncStream<Record> {
        AsyncStream { continuation in
            for request in requests { continuation.yield(request.record) }
            continuation.finish()
        }
    }

    @Test("Batches that have ended already, of another program, are processed too, and again if they are added again")
    func existing() async throws {
        try await Scene.with { scene in
            try await scene.client { client in
                let processed = Calls()
                let handler = try Self.handler(client) { processed.note($0.id.text) }
                _ = try await client.create(
                    BatchPlan(flow: "work", id: "old"),
                    records: records(of: Self.requests(0..<3))
                )
                let manager = BatchManager(client: client, definition: try .work { _ in .value(0) })
                try await running(manager) { _ = try await manager.wait(for: "old") }
                _ = try await client.create(
                    BatchPlan(flow: "other", id: "foreign"),
                    records: records(of: Self.requests(0..<1))
                )
                let error = await #expect(throws: SheafError.self) { try await handler.add("foreign") }
                #expect(error?.code == .invalid)
                try await running(handler) {
                    for count in 1...2 {
                        try await handler.add("old")
                        try await eventually("it is processed") { processed.count("old") == count }
                        try await eventually("it is finished") { try await handler.unfinished().isEmpty }
                    }
                }
            }
        }
    }

    @Test("A handler that is killed 50 times, and whose function throws every third time, drops no batch")
    func kills() async throws {
        try await Scene.with(timeout: .seconds(200)) { scene in
            try await scene.client { client in
                let name: Name = "work"
                let adder = BatchHandler(
                    client: client,
                    name: name,
                    definition: FlowDefinition(name: name, flow: Unused()),
                    logger: Scene.silent
                ) { _ in }
                var generator = SeededGenerator(state: 16)
                var (calls, killedInside) = (0, 0)
                var (added, processed): (Set<String>, [String: [String]]) = ([], [:])
                func collect(_ probe: Probe) {
                    calls += probe.what("began").count
                    var open = Set(probe.what("began"))
                    for line in probe.what("processed") {
                        let words = line.split(separator: " ").map(String.init)
                        processed[words[0], default: []].append(words.dropFirst().joined(separator: " "))
                        open.remove(Substring(words[0]))
                    }
                    if !open.isEmpty { killedInside += 1 }
                }
                for kill in 0..<50 {
                    let numbers = (0..<3).map { kill * 3 + $0 }
                    let id = try await adder.add(numbers.map { BatchRequest(id: "r\($0)", body: ["n": .integer($0)]) })
                    added.insert(id.text)
                    let probe = try Probe("handle", scene.folder, name.text, "\(calls)")
                    try await eventually("the probe handles") { probe.lines.contains("ready") || !probe.isRunning }
                    // Some are killed before they have the lock, and some in the middle of a function.
                    let lines = Int.random(in: 1...4, using: &generator)
                    let deadline = ContinuousClock.now + .seconds(5)
                    while probe.lines.count < lines, .now < deadline, try await !adder.unfinished().isEmpty {
                        try await Task.sleep(for: .microseconds(Int.random(in: 100...2_000, using: &generator)))
                    }
                    probe.kill()
                    collect(probe)
                }
                let last = try Probe("handle", scene.folder, name.text, "\(calls)")
                try await eventually("the rest is processed") { try await adder.unfinished().isEmpty }
                last.kill()
                collect(last)
                #expect(Set(processed.keys) == added)
                for outputs in processed.values {
                    #expect(Set(outputs).count == 1 && outputs[0].split(separator: " ").count == 3, "\(outputs)")
                }
                #expect(calls > added.count && killedInside > 0, "\(calls) calls, \(killedInside) cut off")
            }
        }
    }

    private struct Unused: Flow {
        func run(_ task: FlowTask) async throws -> FlowOutput { .value(.null) }
    }
}

/// A queue and a storage in files of a folder.
private actor FileParts: BatchQueue, BatchStorage {
    private let folder: String

    init(folder: String) { self.folder = folder }

    func add(_ batches: [Name]) throws { try write(unfinished() + batches) }

    func finish(_ batch: Name) throws { try write(unfinished().filter { $0 != batch }) }

    func unfinished() throws -> [Name] {
        guard let text = try? String(contentsOfFile: "\(folder)/queue", encoding: .utf8) else { return [] }
        return text.split(separator: "\n").compactMap { Name(String($0)) }
    }

    func save(_ requests: [BatchRequest], of batch: Name) throws {
        let lines: [JSONValue] = requests.map { ["id": .string($0.id), "body": $0.body] }
        try write(lines.map(\.text).joined(separator: "\n"), to: batch.text)
    }

    func load(_ batch: Name) throws -> [BatchRequest]? {
        guard let text = try? String(contentsOfFile: "\(folder)/\(batch)", encoding: .utf8) else { return nil }
        return try text.split(separator: "\n").map { line in
            let json = try JSON.parse(String(line))
            return BatchRequest(id: json["id"]?.stringValue ?? "", body: json["body"] ?? .null)
        }
    }

    func remove(_ batch: Name) throws { try? FileManager.default.removeItem(atPath: "\(folder)/\(batch)") }

    private func write(_ batches: [Name]) throws { try write(batches.map(\.text).joined(separator: "\n"), to: "queue") }

    private func write(_ text: String, to name: String) throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try Data(text.utf8).write(to: URL(fileURLWithPath: "\(folder)/\(name)"), options: .atomic)
    }
}
