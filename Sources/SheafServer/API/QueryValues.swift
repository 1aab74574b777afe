import Foundation
import Hummingbird

/// The parameters in the query of a request, checked by name.
struct QueryValues {
    private var parameters: [(name: String, value: String)] = []

    /// Reads the query, in which `+` is a space, as in forms of browsers.
    ///
    /// - Throws: `HTTPError` with 400 if it has a parameter that is not allowed, or is not valid.
    init(_ request: Request, allowed: Set<String>) throws {
        for part in (request.uri.query ?? "").split(separator: "&") {
            let sides = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map {
                $0.replacing("+", with: " ").removingPercentEncoding
            }
            guard let name = sides[0], let value = sides.count > 1 ? sides[1] : "" else {
                throw Self.invalid("the query is not valid percent-encoded UTF-8")
            }
            guard allowed.contains(name) else {
                let known = allowed.isEmpty ? "there are none" : allowed.sorted().joined(separator: ", ")
                throw Self.invalid("unknown parameter '\(name)'; known parameters: \(known)")
            }
            parameters.append((name, value))
        }
    }

    /// A text; nil if the parameter is missing or empty.
    func text(_ name: String) -> String? {
        parameters.first { $0.name == name && !$0.value.isEmpty }?.value
    }

    /// All values of a parameter that may be repeated.
    func texts(_ name: String) -> [String] { parameters.filter { $0.name == name }.map(\.value) }

    /// Whether a parameter is `true`; a missing one is `false`.
    func flag(_ name: String) throws -> Bool {
        switch text(name) {
        case nil, "false": return false
        case "true": return true
        case let other?: throw Self.invalid("\(name) must be true or false, not '\(other)'")
        }
    }

    /// An integer in a range.
    func number(_ name: String, in range: ClosedRange<Int>) throws -> Int? {
        guard let text = text(name) else { return nil }
        guard let value = Int(text), range.contains(value) else {
            throw Self.invalid(
                "\(name) must be an integer from \(range.lowerBound) to \(range.upperBound), not '\(text)'"
            )
        }
        return value
    }

    /// One of several words.
    func word<Word: RawRepresentable<String> & CaseIterable>(_ name: String, _ type: Word.Type) throws -> Word? {
        try text(name).map { try Self.parse($0, name) }
    }

    /// Any of several words, separated by commas or repeated.
    func words<Word: RawRepresentable<String> & CaseIterable & Hashable>(
        _ name: String,
        _ type: Word.Type
    ) throws -> Set<Word> {
        let texts = parameters.filter { $0.name == name }.flatMap { $0.value.split(separator: ",").map(String.init) }
        return try Set(texts.map { try Self.parse($0, name) })
    }

    private static func parse<Word: RawRepresentable<String> & CaseIterable>(
        _ text: String,
        _ name: String
    ) throws -> Word {
        if let word = Word(rawValue: text) { return word }
        let words = Word.allCases.map(\.rawValue).joined(separator: ", ")
        throw invalid("unknown \(name) '\(text)': it must be one of \(words)")
    }

    private static func invalid(_ message: String) -> HTTPError { HTTPError(.badRequest, message: message) }
}
