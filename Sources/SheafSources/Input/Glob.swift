/// Finds the regular files that a glob names.
struct Glob {
    private enum Part {
        case name(String)
        case pattern(NamePattern)
        /// `**`: any number of folders, also none; hidden ones and symbolic links are not entered.
        case folders
    }

    private let parts: [Part]
    private let root: SystemPath

    init(_ text: String, workingDirectory: String?) {
        var parts: [Part] = text.split(separator: "/").map { part in
            if part == "**" { return .folders }
            return NamePattern.isPattern(part) ? .pattern(NamePattern(part)) : .name(String(part))
        }
        // At the end it means every file below.
        if case .folders? = parts.last { parts.append(.pattern(NamePattern("*"))) }
        self.parts = parts
        self.root = SystemPath(text.hasPrefix("/") ? "/" : "", workingDirectory: workingDirectory)
    }

    /// The files, in no order; a file may come twice.
    func files() throws(SourceError) -> [SystemPath] {
        var found: [SystemPath] = []
        try collect(from: root, parts[...], into: &found)
        return found
    }

    private func collect(
        from folder: SystemPath,
        _ parts: ArraySlice<Part>,
        into found: inout [SystemPath]
    ) throws(SourceError) {
        guard let part = parts.first else {
            if folder.status()?.isRegular == true { found.append(folder) }
            return
        }
        let rest = parts.dropFirst()
        if case .name(let name) = part {
            try collect(from: folder.appending(name.utf8), rest, into: &found)
            return
        }
        guard folder.bytes.isEmpty || folder.status()?.isFolder == true else { return }
        if case .folders = part { try collect(from: folder, rest, into: &found) }
        for entry in try FolderListing.entries(of: folder) {
            switch part {
            case .pattern(let pattern) where pattern.matches(entry.name):
                try collect(from: folder.appending(entry.name), rest, into: &found)
            case .folders where entry.isFolder && !entry.isHidden:
                try collect(from: folder.appending(entry.name), parts, into: &found)
            default: continue
            }
        }
    }
}
