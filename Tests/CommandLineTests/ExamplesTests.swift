import Foundation
import SheafTestTools
import Testing

/// Runs every example in `docs/examples` with the built command.
@Suite("The examples", .timeLimit(.minutes(4)))
struct ExamplesTests {
    private static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "docs/examples").path
    /// The examples that must exist; others are found in the folder.
    private static let required: Set<String> = [
        "checksums", "enrich-csv", "fail-fix-retry", "parameter-sweep", "rate-limit", "text-statistics",
    ]

    private static func names() -> [String] {
        let entries = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return required.union(entries.filter { !$0.contains(".") }).sorted()
    }

    @Test("Every example runs and gives the expected result", arguments: names())
    func runs(name: String) async throws {
        try await Workbench.with(configuration: "flows: { echo: { echo: true } }") { bench in
            let run = try await bench.shell(
                #"mkdir bin && ln -s "$SHEAF" bin/sheaf && PATH="$PWD/bin:$PATH" '\#(Self.folder)/\#(name)/run.sh'"#,
                limit: .seconds(120)
            )
            #expect(run.code == 0, "\(name) failed: \(run.output)\n\(run.talk)")
            #expect(!run.output.isEmpty, "\(name) prints no result")
        }
    }

    @Test("Every example has a configuration and a description", arguments: names())
    func isDescribed(name: String) throws {
        for file in ["sheaf.yaml", "README.md", "run.sh"] {
            #expect(FileManager.default.fileExists(atPath: "\(Self.folder)/\(name)/\(file)"), "\(name) has no \(file)")
        }
        let index = try String(contentsOfFile: "\(Self.folder)/README.md", encoding: .utf8)
        #expect(index.contains("](\(name)/README.md)"), "the list of examples does not have \(name)")
    }
}
