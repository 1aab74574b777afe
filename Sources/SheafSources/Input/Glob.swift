/// A glob, which finds the regular files that match it.
struct Glob {
    private enum Part {
        case name(String)
        case pattern(NamePattern)
        /// `**`: any number of folders, including none, except hidden ones and symbolic links.
        case folders
    }

    private let parts: [Part]
    private let root: SystemPath

    init(_ text: String, workingDirectory: String?) {
        var parts: [Part] = text.split(separator: "/").map { part in
            if part == "**" { return .folders }
            return NamePattern.isPattern(part) ? .pattern(NamePattern(part)) : .name(String(part))
        }
        // A `**` at the end matches every file below the folder.
        if case .folders? = parts.last { parts.append(.pattern(NamePattern("*"))) }
        self.parts = parts
        self.root = SystemPath(text.hasPrefix("/") ? "/" : "", workingDirectory: workingDirectory)
    }

    /// Returns the matching files in no particular order; a file may occur twice.
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

/// One part of a glob between slashes: `*`, `?`, `[a-z]`, `[!a-z]`, and `\` before a literal character.
struct NamePattern {
    private enum Token {
        case anything
        case one
        case character(Unicode.Scalar)
        case choice([ClosedRange<Unicode.Scalar>], isNegated: Bool)
    }

    private var tokens: [Token] = []
    /// Whether the pattern starts with a dot; only then does it match hidden names.
    let matchesHidden: Bool

    init(_ text: some StringProtocol) {
        matchesHidden = text.hasPrefix(".")
        let scalars = Array(text.unicodeScalars)
        var position = 0
        while position < scalars.count {
            let scalar = scalars[position]
            position += 1
            switch scalar {
            case "*": tokens.append(.anything)
            case "?": tokens.append(.one)
            case "\\" where position < scalars.count:
                tokens.append(.character(scalars[position]))
                position += 1
            case "[":
                if let (token, end) = Self.choice(scalars, position) {
                    tokens.append(token)
                    position = end
                } else {
                    tokens.append(.character(scalar))
                }
            default: tokens.append(.character(scalar))
            }
        }
    }

    /// Returns whether a part of a path is a pattern rather than a literal name.
    static func isPattern(_ text: some StringProtocol) -> Bool {
        text.contains { $0 == "*" || $0 == "?" || $0 == "[" }
    }

    /// Parses `a-z]` after the opening bracket; returns nil if the bracket is never closed and thus literal.
    private static func choice(_ scalars: [Unicode.Scalar], _ start: Int) -> (Token, Int)? {
        var position = start
        var ranges: [ClosedRange<Unicode.Scalar>] = []
        let isNegated = position < scalars.count && (scalars[position] == "!" || scalars[position] == "^")
        if isNegated { position += 1 }
        while position < scalars.count {
            // A closing bracket in first position is one of the choices.
            if scalars[position] == "]", !ranges.isEmpty {
                return (.choice(ranges, isNegated: isNegated), position + 1)
            }
            let low = scalars[position]
            if position + 2 < scalars.count, scalars[position + 1] == "-", scalars[position + 2] != "]" {
                let high = scalars[position + 2]
                ranges.append(min(low, high)...max(low, high))
                position += 3
            } else {
                ranges.append(low...low)
                position += 1
            }
        }
        return nil
    }

    /// Returns whether the whole name matches.
    func matches(_ name: [UInt8]) -> Bool {
        if name.first == UInt8(ascii: "."), !matchesHidden { return false }
        let scalars = Array(String(decoding: name, as: UTF8.self).unicodeScalars)
        var position = 0
        var token = 0
        // The position of the latest star and of its match; backtracking to earlier stars is never needed.
        var star: (token: Int, position: Int)?
        while position < scalars.count {
            if token < tokens.count, case .anything = tokens[token] {
                star = (token, position)
                token += 1
            } else if token < tokens.count, accepts(tokens[token], scalars[position]) {
                token += 1
                position += 1
            } else if let latest = star {
                star = (latest.token, latest.position + 1)
                token = latest.token + 1
                position = latest.position + 1
            } else {
                return false
            }
        }
        return tokens[token...].allSatisfy { if case .anything = $0 { true } else { false } }
    }

    private func accepts(_ token: Token, _ scalar: Unicode.Scalar) -> Bool {
        switch token {
        case .anything: false
        case .one: true
        case .character(let wanted): wanted == scalar
        case .choice(let ranges, let isNegated): ranges.contains { $0.contains(scalar) } != isNegated
        }
    }
}
