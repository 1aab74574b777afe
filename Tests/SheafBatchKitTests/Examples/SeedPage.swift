import Foundation
import SheafCore
import SheafTestTools
import Testing

/// A page that shows how the programs of another system look with Sheaf.
enum SeedPage: String, CaseIterable, CustomTestStringConvertible {
    case nagents = "Nagents"
    case langBatch = "LangBatch"
    case buttermilk = "Buttermilk"

    var testDescription: String { rawValue }

    /// A fenced block: its language and its lines.
    struct Block {
        let language: String
        let lines: [String]
    }

    /// A command of the page and the lines that it prints.
    struct Step {
        var command: String
        var output: [String] = []
    }

    private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent()

    private static func read(_ path: String) throws -> String {
        try String(contentsOf: root.appending(path: path), encoding: .utf8)
    }

    var path: String { "docs/from-\(rawValue.lowercased()).md" }

    /// The fenced blocks of the page.
    func blocks() throws -> [Block] {
        let fences = try Self.read(path).components(separatedBy: "\n```")
        return stride(from: 1, to: fences.count, by: 2).map { index in
            let lines = fences[index].components(separatedBy: "\n")
            return Block(language: lines[0], lines: Array(lines.dropFirst()))
        }
    }

    /// The examples that are compiled with the tests, in the order of the file.
    func examples() throws -> [[String]] {
        let file = try Self.read("Tests/SheafBatchKitTests/Examples/\(rawValue)Examples.swift")
        return file.components(separatedBy: "// example: begin\n").dropFirst().map { part in
            part.components(separatedBy: "\n// example: end")[0].components(separatedBy: "\n")
        }
    }
}

extension SeedPage.Block {
    /// The commands of a block that shows a terminal.
    var steps: [SeedPage.Step] {
        lines.reduce(into: []) { steps, line in
            if line.hasPrefix("$ ") {
                steps.append(SeedPage.Step(command: String(line.dropFirst(2))))
            } else if line.hasPrefix("> ") {
                steps[steps.endIndex - 1].command += "\n" + line.dropFirst(2)
            } else {
                steps[steps.endIndex - 1].output.append(line)
            }
        }
    }
}

/// The pages for users of the systems that Sheaf began with.
@Suite("The pages from other systems", .timeLimit(.minutes(2)))
struct SeedPageTests {
    /// What the script prints before the output of each step.
    private static let mark = "=== step"

    @Test("A page quotes exactly the examples that are compiled", arguments: SeedPage.allCases)
    func quotes(page: SeedPage) throws {
        let quoted = try page.blocks().filter { $0.language == "swift" }.map(\.lines)
        let examples = try page.examples()
        #expect(quoted.count >= 4 && quoted.count == examples.count)
        for (quote, example) in zip(quoted, examples) { #expect(quote == example) }
    }

    @Test("The commands of a page print what it says", arguments: SeedPage.allCases)
    func commands(page: SeedPage) async throws {
        try await BatchServer.with(["plain": true]) { server in
            let blocks = try page.blocks()
            let configurations = blocks.filter { $0.language == "yaml" }
            try #require(configurations.count == 1)
            // The page asks OpenAI, and waits as long as is good there.
            let key = "api_key: ${OPENAI_API_KEY}"
            let configuration = configurations[0].lines.joined(separator: "\n")
                .replacing(key, with: "\(key)\n      base_url: \(server.base)")
                .replacing("bulk: true", with: "bulk: { wait_time: 200ms }")
                .replacing("wait_time: 30m", with: "wait_time: 200ms")
            let steps = blocks.filter { $0.language == "console" }.flatMap(\.steps)
            #expect(steps.count >= 8)
            var script = #"mkdir bin && ln -s "$SHEAF" bin/sheaf && PATH="$PWD/bin:$PATH"; exec 2>&1"# + "\n"
            for step in steps { script += "echo '\(Self.mark)'\n\(step.command)\n" }
            let finished = script
            try await Workbench.with(
                configuration: configuration,
                environment: ["OPENAI_API_KEY": BatchServer.key]
            ) { bench in
                let run = try await bench.shell(finished, limit: .seconds(90))
                let parts = run.output.components(separatedBy: Self.mark).dropFirst()
                #expect(parts.count == steps.count, "\(run.output)\n\(run.talk)")
                for (step, part) in zip(steps, parts) {
                    var lines = part.components(separatedBy: "\n").dropFirst()
                    while lines.last == "" { lines.removeLast() }
                    let message: Comment = "\(step.command)\nprints\n\(lines.joined(separator: "\n"))"
                    #expect(Self.matches(Array(lines), step.output), message)
                }
            }
        }
    }

    /// Whether lines are as the page says, where `…` stands for any text, or for any lines if it is alone.
    private static func matches(_ lines: [String], _ expected: [String]) -> Bool {
        let pattern = expected.map { NSRegularExpression.escapedPattern(for: $0) }.joined(separator: "\n")
        let anyText = pattern.replacing("…", with: ".*")
        let text = lines.joined(separator: "\n")
        return text.range(of: "^(?s:\(anyText))$", options: .regularExpression) != nil
    }
}
