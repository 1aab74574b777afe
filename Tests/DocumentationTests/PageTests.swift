import Foundation
import Testing

@testable import SheafCommands
@testable import SheafSettings

/// The pages agree with the code.
@Suite("The pages")
struct PageTests {
    @Test("Every link leads to a file, and to a heading if it names one", arguments: try Page.all())
    func links(page: String) throws {
        let folder = (page as NSString).deletingLastPathComponent
        for link in Page.links(of: try Page.read(page)) {
            let parts = link.components(separatedBy: "#")
            let target = parts[0].isEmpty ? page : (folder as NSString).appendingPathComponent(parts[0])
            #expect(FileManager.default.fileExists(atPath: Page.path(target)), "\(page) links to \(link)")
            if parts.count > 1, target.hasSuffix(".md") {
                let path = URL(filePath: Page.path(target)).standardized.path
                let anchors = Page.anchors(of: try String(contentsOfFile: path, encoding: .utf8))
                #expect(anchors.contains(parts[1]), "\(page) links to \(link), which has no such heading")
            }
        }
    }

    @Test("The page on the command line has every exit code with its meaning")
    func exitCodes() throws {
        let text = try Page.read("docs/command-line.md")
        for reason in ExitReason.allCases {
            #expect(text.contains("| \(reason.rawValue) | \(reason.meaning) |"))
        }
    }

    @Test("Every key of a flow is described")
    func keys() throws {
        let text = try Page.read("docs/configuration.md")
        for key in FlowReader.keys { #expect(text.contains("`\(key)`"), "\(key) is missing") }
        let dispatch = try Page.read("docs/dispatch.md")
        for key in DispatchSettings.keys { #expect(dispatch.contains("`\(key)`"), "\(key) is missing") }
    }

    @Test(
        "Every configuration shown is valid",
        arguments: [
            "README.md", "docs/bulk.md", "docs/configuration.md", "docs/dispatch.md", "docs/flows.md",
            "docs/from-buttermilk.md", "docs/from-langbatch.md", "docs/from-nagents.md", "docs/tracing.md",
        ]
    )
    func configurations(page: String) throws {
        let blocks = try Page.blocks(of: "yaml", in: Page.read(page))
        #expect(!blocks.isEmpty)
        for block in blocks { try check(block) }
    }

    @Test("The configuration of every example is valid", arguments: Page.exampleConfigurations())
    func exampleConfigurations(file: String) throws { try check(Page.read(file)) }

    @Test("There are at least five examples")
    func examples() { #expect(Page.exampleConfigurations().count >= 5) }

    @Test("Every decision has a status, a date and a line in the index")
    func decisions() throws {
        let pages = try Page.all().filter { $0.hasPrefix("docs/decisions/0") }
        #expect(pages.count >= 20)
        let index = try Page.read("docs/decisions/README.md")
        for page in pages {
            let (text, file) = (try Page.read(page), (page as NSString).lastPathComponent)
            let number = String(file.prefix(4))
            #expect(text.hasPrefix("# \(number): "), "\(page) has another heading")
            #expect(text.firstMatch(of: /\nStatus: (accepted|superseded by [0-9]{4})/) != nil, "\(page) has no status")
            #expect(text.firstMatch(of: /\nDate: [0-9]{4}-[0-9]{2}-[0-9]{2}\n/) != nil, "\(page) has no date")
            #expect(index.contains("| [\(number)](\(file)) |"), "\(page) is not in the index")
        }
    }

    private func check(_ configuration: String) throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "sheaf-docs-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try configuration.write(to: folder.appending(path: "sheaf.yaml"), atomically: true, encoding: .utf8)
        let keys = [
            "RABBITMQ_PASSWORD", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
            "REDIS_PASSWORD",
        ]
        let secrets = Dictionary(uniqueKeysWithValues: keys.map { ($0, "secret") })
        let environment = secrets.merging(["ITEMS_PORT": "8080"]) { $1 }
        let settings = try Settings.load(environment: environment, directory: folder.path)
        #expect(settings.warnings.isEmpty)
        // An example of another part of the file has no flows but echo.
        if configuration.contains("flows:") { #expect(settings.definitions.count > 1) }
    }
}
