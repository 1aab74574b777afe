import Foundation
import SheafTestTools
import Testing

/// Runs the section "A first batch" of `docs/http.md` as it is written.
@Suite("The first batch over HTTP", .timeLimit(.minutes(2)))
struct WalkthroughTests {
    /// A command of the page and the lines that it prints.
    private struct Step {
        var command: String
        var output: [String] = []
    }

    /// A fenced block: its language and its lines.
    private struct Block {
        let language: String
        let lines: [String]

        /// The commands of a block that shows a terminal.
        var steps: [Step] {
            lines.reduce(into: []) { steps, line in
                if line.hasPrefix("$ ") {
                    steps.append(Step(command: String(line.dropFirst(2))))
                } else if line.hasPrefix("> ") {
                    steps[steps.endIndex - 1].command += "\n" + line.dropFirst(2)
                } else {
                    steps[steps.endIndex - 1].output.append(line)
                }
            }
        }
    }

    private static let page = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "docs/http.md")
    /// What the script prints before the output of each step.
    private static let mark = "=== step"

    private static func blocks() throws -> [Block] {
        let text = try String(contentsOf: page, encoding: .utf8)
        let start = try #require(text.range(of: "\n## A first batch\n"), "the page has no such section")
        let rest = text[start.upperBound...]
        let section = rest.range(of: "\n## ").map { rest[..<$0.lowerBound] } ?? rest
        let fences = section.components(separatedBy: "\n```")
        // Text and blocks alternate; a block begins with its language.
        return stride(from: 1, to: fences.count - 1, by: 2).map { index in
            let lines = fences[index].components(separatedBy: "\n")
            return Block(language: lines[0], lines: Array(lines.dropFirst()))
        }
    }

    /// Whether lines are as the page says, where `…` stands for any text, or for any lines if it is alone.
    private static func matches(_ lines: [String], _ expected: [String]) -> Bool {
        let pattern = expected.map { NSRegularExpression.escapedPattern(for: $0) }.joined(separator: "\n")
        let anyText = pattern.replacing("…", with: ".*")
        let text = lines.joined(separator: "\n")
        return text.range(of: "^(?s:\(anyText))$", options: .regularExpression) != nil
    }

    @Test("A stranger creates a batch with curl, sees a failure, fixes it, retries and downloads")
    func firstBatch() async throws {
        let blocks = try Self.blocks()
        let steps = blocks.filter { $0.language == "console" }.flatMap(\.steps)
        try #require(steps.count > 4 && blocks.contains { $0.lines == ["sheaf serve"] })
        var script = #"mkdir bin && ln -s "$SHEAF" bin/sheaf && PATH="$PWD/bin:$PATH"; rm -f sheaf.yaml"# + "\n"
        for block in blocks {
            switch (block.language, block.lines) {
            case ("sh", ["sheaf serve"]):
                script += """
                    sheaf serve --port 0 2>server.log & server=$!
                    until grep -q listening server.log; do kill -0 $server || exit 1; sleep 0.05; done
                    port=$(sed -n 's/.*127\\.0\\.0\\.1:\\([0-9]*\\).*/\\1/p' server.log)

                    """
            case ("sh", ["sheaf run"]):
                script += "sheaf run 2>worker.log & worker=$!\n"
            case ("sh", let lines):
                script += lines.joined(separator: "\n").replacing("127.0.0.1:8080", with: "127.0.0.1:$port") + "\n"
            default:
                for step in block.steps { script += "echo '\(Self.mark)'\n\(step.command)\n" }
            }
        }
        script += "kill $worker $server; wait $worker $server; true\n"
        try await Workbench.with(configuration: "flows: {}") { bench in
            let run = try await bench.shell(script, limit: .seconds(60))
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
