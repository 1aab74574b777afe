/// One part of a glob between slashes: `*`, `?`, `[a-z]`, `[!a-z]`, and `\` before a character that is meant itself.
struct NamePattern {
    private enum Token {
        case anything
        case one
        case character(Unicode.Scalar)
        case choice([ClosedRange<Unicode.Scalar>], isNegated: Bool)
    }

    private var tokens: [Token] = []
    /// Whether the pattern itself starts with a dot; only then hidden names match.
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

    /// Whether a part of a path has to be matched rather than taken as it is.
    static func isPattern(_ text: some StringProtocol) -> Bool {
        text.contains { $0 == "*" || $0 == "?" || $0 == "[" }
    }

    /// Reads `a-z]` from behind the bracket; nil where the bracket is never closed and stands for itself.
    private static func choice(_ scalars: [Unicode.Scalar], _ start: Int) -> (Token, Int)? {
        var position = start
        var ranges: [ClosedRange<Unicode.Scalar>] = []
        let isNegated = position < scalars.count && (scalars[position] == "!" || scalars[position] == "^")
        if isNegated { position += 1 }
        while position < scalars.count {
            // A closing bracket that comes first is one of the choices.
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

    /// Whether a name matches as a whole.
    func matches(_ name: [UInt8]) -> Bool {
        if name.first == UInt8(ascii: "."), !matchesHidden { return false }
        let scalars = Array(String(decoding: name, as: UTF8.self).unicodeScalars)
        var position = 0
        var token = 0
        // Where the latest star stands and how much it has taken; trying others again is never needed.
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
