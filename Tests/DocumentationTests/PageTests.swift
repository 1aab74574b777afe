import Foundation
import Testing

@testable import SheafCommands
@testable import SheafSettings

/// What the pages say of the code is what the code says.
@Suite("The pages")
struct PageTests {
    @Test("Every link leads to a file", arguments: try Page.all())
    func links(page: String) throws {
        let folder = (page as NSString).deletingLastPathComponent
        for link in Page.links(of: try Page.read(page)) {
            let file = link.components(separatedBy: "#")[0]
            let target = (folder as NSString).appendingPathComponent(file)
            #expect(FileManager.default.fileExists(atPath: Page.path(target)), "\(page) links to \(link)")
        }
    }

    @Test("The README has every exit code with its meaning")
    func exitCodes() throws {
        let text = try Page.read("README.md")
        for reason in ExitReason.allCases {
            #expect(text.contains("| \(reason.rawValue) | \(reason.meaning) |"))
        }
    }

    @Test("Every key of a flow is described")
    func keys() throws {
        let text = try Page.read("docs/configuration.md")
        for key in FlowReader.keys { #expect(text.contains("`\(key)`"), "\(key) is missing") }
    }

    @Test("Every configuration shown can be read", arguments: ["README.md", "docs/configuration.md", "docs/flows.md"])
    func configurations(page: String) throws {
        let blocks = try Page.blocks(of: "yaml", in: Page.read(page))
        #expect(!blocks.isEmpty)
        for block in blocks {
            let folder = FileManager.default.temporaryDirectory.appending(path: "sheaf-docs-\(UUID().uuidString)")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(at: folder) }
            try block.write(to: folder.appending(path: "sheaf.yaml"), atomically: true, encoding: .utf8)
            let keys = ["RABBITMQ_PASSWORD", "OPENAI_API_KEY", "ANTHROPIC_API_KEY"]
            let environment = Dictionary(uniqueKeysWithValues: keys.map { ($0, "secret") })
            let settings = try Settings.load(environment: environment, directory: folder.path)
            #expect(settings.warnings.isEmpty)
            #expect(settings.definitions.count > 1)
        }
    }
}
