import Sheaf
import SheafTesting
import Testing

@testable import shorten

@Suite("Shorten") struct ShortenTests {
    private let shorten = FlowDefinition(name: "shorten", flow: Shorten())

    @Test("A title is cut to 20 characters, or to the length that the batch sets")
    func length() async throws {
        let article: JSONValue = ["title": "The ordinary days of a queue", "tags": ["a", "b"]]
        let standard = try await FlowStage().run(shorten, json: [article])
        #expect(standard.outputs == [["tags": 2, "title": "The ordinary days of"]])
        let short = try await FlowStage(parameters: ["length": 3]).run(shorten, json: [article])
        #expect(short.outputs == [["tags": 2, "title": "The"]])
    }

    @Test("A record without a title fails, and the others succeed")
    func invalidRecord() async throws {
        let run = try await FlowStage().run(shorten, json: [["name": "no title"], ["title": "Short"]])
        #expect(run.outcomes[0].error?.type == "record")
        #expect(run.outputs == [nil, ["tags": 0, "title": "Short"]])
    }

    @Test("A lost worker changes nothing in the result")
    func lostWorker() async throws {
        let articles: [JSONValue] = (1...5).map { ["title": .string("number \($0)")] }
        let run = try await FlowStage(losesWorkerAfter: [2]).run(shorten, json: articles)
        #expect(run.outputs == (1...5).map { ["tags": 0, "title": .string("number \($0)")] })
        #expect(run.outcomes[2].attempts == 2)
    }
}
