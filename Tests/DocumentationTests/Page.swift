import Foundation

/// The pages of the documentation, by their paths from the top of the package.
enum Page {
    /// Those that quote the example.
    static let withExample = ["README.md", "Sources/Sheaf/Sheaf.docc/GettingStarted.md"]

    private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    /// A path as the system knows it.
    static func path(_ name: String) -> String { root.appending(path: name).path }

    /// The text of a file.
    static func read(_ name: String) throws -> String { try String(contentsOfFile: path(name), encoding: .utf8) }

    /// The README and everything in `docs`.
    static func all() throws -> [String] {
        let below = FileManager.default.enumerator(atPath: path("docs"))?.compactMap { $0 as? String } ?? []
        return ["README.md"] + below.filter { $0.hasSuffix(".md") }.sorted().map { "docs/" + $0 }
    }

    /// The fenced blocks of a language, each with its last line break.
    static func blocks(of language: String, in text: String) -> [String] {
        text.components(separatedBy: "\n```\(language)\n").dropFirst().map { part in
            part.components(separatedBy: "```\n")[0]
        }
    }

    /// Where the links of a page lead that do not leave the package.
    static func links(of text: String) -> [String] {
        text.matches(of: /\]\(([^)\s]+)\)/).map { String($0.1) }.filter { !$0.contains("://") && !$0.hasPrefix("#") }
    }
}
