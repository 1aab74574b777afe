import Foundation

/// The pages of the documentation, by their paths relative to the package.
enum Page {
    /// The pages that quote the example.
    static let withExample = ["README.md", "Sources/Sheaf/Sheaf.docc/GettingStarted.md"]

    private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    /// Returns the absolute path of a file.
    static func path(_ name: String) -> String { root.appending(path: name).path }

    /// Returns the text of a file.
    static func read(_ name: String) throws -> String { try String(contentsOfFile: path(name), encoding: .utf8) }

    /// Returns the README and every page in `docs` and `.github`.
    static func all() throws -> [String] { ["README.md"] + files(in: "docs", ".md") + files(in: ".github", ".md") }

    /// Returns the configuration of each example.
    static func exampleConfigurations() -> [String] { files(in: "docs/examples", "/sheaf.yaml") }

    private static func files(in folder: String, _ suffix: String) -> [String] {
        let below = FileManager.default.enumerator(atPath: path(folder))?.compactMap { $0 as? String } ?? []
        return below.filter { $0.hasSuffix(suffix) }.sorted().map { "\(folder)/\($0)" }
    }

    /// Returns the fenced blocks of a language, each with its last line break.
    static func blocks(of language: String, in text: String) -> [String] {
        text.components(separatedBy: "\n```\(language)\n").dropFirst().map { part in
            part.components(separatedBy: "```\n")[0]
        }
    }

    /// Returns the targets of the links in a page that stay inside the package or the page.
    static func links(of text: String) -> [String] {
        text.matches(of: /\]\(([^)\s]+)\)/).map { String($0.1) }.filter { !$0.contains("://") }
    }

    /// Returns the anchors that the headings of a page have on a forge.
    static func anchors(of text: String) -> Set<String> {
        let headings = text.components(separatedBy: "\n").filter { $0.hasPrefix("#") }
        return Set(
            headings.map { line in
                let title = line.drop { $0 == "#" }.dropFirst().lowercased().replacing(" ", with: "-")
                return title.filter { $0.isLetter || $0.isNumber || "-_".contains($0) }
            }
        )
    }
}
