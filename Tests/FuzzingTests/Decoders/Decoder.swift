/// A group of decoders of bytes from outside, as the fuzzer and the replay of its corpus call it.
enum Decoder: String, CaseIterable, Sendable {
    /// JSON text.
    case json
    /// Outcome lines and the messages that carry them.
    case results
    /// Tasks, journal entries, progress and signals, with headers as the embedded broker stores them.
    case messages
    /// Inputs: lines, JSON, tables and whole files, read in pieces of any size.
    case sources
    /// Settings, templates, globs and the small languages of options.
    case configuration
    /// Field tables, properties and contents as AMQP has them, and the URL of a broker.
    case amqp

    /// Decodes the bytes; throws where a property that must hold does not.
    func check(_ bytes: [UInt8]) throws(Violation) {
        do {
            switch self {
            case .json: try checkJSON(bytes)
            case .results: try checkResults(bytes)
            case .messages: try checkMessages(bytes)
            case .sources: try checkSources(bytes)
            case .configuration: try checkConfiguration(bytes)
            case .amqp: try checkAMQP(bytes)
            }
        } catch let violation as Violation {
            throw violation
        } catch {
            throw Violation("an error that nobody expected: \(error)")
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
