/// A group of decoders of foreign bytes, called by the fuzzer and by the tests with its corpus.
enum Decoder: String, CaseIterable, Sendable {
    /// JSON text.
    case json
    /// Outcome lines and the messages that contain them.
    case results
    /// Tasks, journal entries, progress and heartbeats, with headers as the embedded broker stores them.
    case messages
    /// Inputs: lines, JSON, tables and whole files, read in pieces of any size.
    case sources
    /// Settings, templates, globs and option values.
    case configuration
    /// Results and states of submissions, as providers write them.
    case providers
    /// AMQP field tables, properties and contents, and broker URLs.
    case amqp

    /// Decodes the bytes; throws if a required property does not hold.
    func check(_ bytes: [UInt8]) throws(Violation) {
        do {
            switch self {
            case .json: try checkJSON(bytes)
            case .results: try checkResults(bytes)
            case .messages: try checkMessages(bytes)
            case .sources: try checkSources(bytes)
            case .configuration: try checkConfiguration(bytes)
            case .providers: try checkProviders(bytes)
            case .amqp: try checkAMQP(bytes)
            }
        } catch let violation as Violation {
            throw violation
        } catch {
            throw Violation("unexpected error: \(error)")
        }
    }
}

/// A property of a decoder that did not hold.
struct Violation: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

/// Throws unless a property holds.
func require(_ condition: Bool, _ message: @autoclosure () -> String) throws(Violation) {
    if !condition { throw Violation(message()) }
}

/// An input of the fuzzer, divided into a few bytes that select options and the bytes to decode.
struct FuzzInput {
    private(set) var rest: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) { rest = bytes[...] }

    /// The next byte, or 0 at the end.
    mutating func byte() -> UInt8 { rest.popFirst() ?? 0 }

    /// Consumes and returns the bytes up to the next separator, or all bytes if there is none; also consumes the
    /// separator.
    mutating func part(before separator: UInt8 = 0) -> [UInt8] {
        let end = rest.firstIndex(of: separator) ?? rest.endIndex
        defer { rest = rest[min(end + 1, rest.endIndex)...] }
        return Array(rest[..<end])
    }

    /// Consumes and returns a block of bytes, whose size is in the next two bytes.
    mutating func block() -> [UInt8] {
        let count = Int(byte()) << 8 | Int(byte())
        defer { rest = rest.dropFirst(count) }
        return Array(rest.prefix(count))
    }

    /// The rest as text; bytes that are not UTF-8 become replacement characters.
    var text: String { String(decoding: rest, as: UTF8.self) }
}
