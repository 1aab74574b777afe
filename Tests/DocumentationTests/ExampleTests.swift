import Foundation
import Sheaf
import Testing

/// The Swift example of the documentation works as the text around it states.
@Suite("The Swift example", .timeLimit(.minutes(2)))
struct ExampleTests {
    @Test("The example publishes, runs, follows and reads a batch on the embedded broker")
    func runs() async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "sheaf-docs-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let texts: KeyValuePairs = ["a.txt": "one", "b.txt": "one two", "c.txt": "one  two\nthree"]
        let outcomes = try await countWords(of: texts, on: .embedded(directory: folder))
        #expect(outcomes.map(\.recordID) == ["a.txt", "b.txt", "c.txt"])
        #expect(outcomes.allSatisfy { $0.status == .succeeded })
        let words = try outcomes.map { try JSON.parse($0.output ?? [])["words"]?.intValue }
        #expect(words == [1, 2, 3])
    }

    @Test("The example of a request gets its answer")
    func answers() async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "sheaf-docs-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try await SheafClient.withClient(broker: .embedded(directory: folder)) { client in
            let queue = try await BrokerRequestQueue.open(client: client, name: "reviews")
            let dispatcher = Dispatcher(
                client: client,
                queue: queue,
                plan: BatchPlan(flow: "wordcount"),
                rules: DispatchRules(queueThreshold: 1)
            )
            let definition = FlowDefinition(name: "wordcount", flow: Count())
            let worker = Worker(client: client, configuration: WorkerConfiguration(flows: [definition]))
            let outcome = try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await dispatcher.run() }
                group.addTask { try await worker.run() }
                defer { group.cancelAll() }
                return try await judge("very good", as: "order-1", on: client)
            }
            await queue.close()
            #expect(outcome?.recordID == "order-1" && outcome?.output == Array("9".utf8))
        }
    }

    /// Counts the characters of a review.
    private struct Count: Flow {
        func run(_ task: FlowTask) async throws -> FlowOutput {
            .value(.integer(try task.record.json["text"]?.stringValue?.count ?? 0))
        }
    }

    @Test(
        "The pages quote the examples as they are compiled",
        arguments: Page.withExample.map { ($0, "WordCountExample") } + [("docs/dispatch.md", "AnswerExample")]
    )
    func isQuoted(page: String, example: String) throws {
        let source = try Page.read("Tests/DocumentationTests/\(example).swift")
        let parts = source.components(separatedBy: "// example: ")
        let begin = try #require(parts.first { $0.hasPrefix("begin\n") })
        let example = begin.dropFirst("begin\n".count)
        let blocks = try Page.blocks(of: "swift", in: Page.read(page))
        #expect(blocks.contains(String(example)), "\(page) does not quote the example as it is compiled")
    }
}
