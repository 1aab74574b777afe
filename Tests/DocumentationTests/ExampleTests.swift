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

    @Test("The pages quote the example as it is compiled", arguments: Page.withExample)
    func isQuoted(page: String) throws {
        let source = try Page.read("Tests/DocumentationTests/WordCountExample.swift")
        let parts = source.components(separatedBy: "// example: ")
        let begin = try #require(parts.first { $0.hasPrefix("begin\n") })
        let example = begin.dropFirst("begin\n".count)
        let blocks = try Page.blocks(of: "swift", in: Page.read(page))
        #expect(blocks.contains(String(example)), "\(page) does not quote the example as it is compiled")
    }
}
