import SheafCore

/// How batches are traced.
package struct TracingSettings: Sendable, Equatable {
    /// How the spans of attempts are tied to the creation of their batch.
    package enum Context: String, Sendable, CaseIterable {
        /// By a link: each attempt begins a trace of its own.
        case link
        /// As children: all attempts belong to the trace of the creation.
        case parent
    }

    /// The URL of the collector, to which `/v1/traces` is appended.
    package var endpoint = "http://localhost:4318"
    /// The share of batches that are traced, from 0 to 1.
    package var share = 1.0
    /// How spans are tied to the creation.
    package var context = Context.link

    /// Reads `tracing:`.
    init(_ reader: SettingsReader, environment: [String: String]) throws(SettingsError) {
        let members = try reader.members(knowing: ["endpoint", "sample", "context"])
        endpoint = environment["OTEL_EXPORTER_OTLP_ENDPOINT"] ?? endpoint
        if let member = members["endpoint"] {
            endpoint = try member.nonEmptyText("the URL of a collector")
            guard endpoint.hasPrefix("http://") || endpoint.hasPrefix("https://") else {
                throw member.expected("a URL that begins with http:// or https://")
            }
        }
        if let member = members["sample"] {
            guard let share = Self.share(member.json) else {
                throw member.expected("a share of the batches, from 0% to 100% or from 0 to 1")
            }
            self.share = share
        }
        if let member = members["context"] {
            guard let context = Context(rawValue: try member.text("link or parent")) else {
                throw member.expected("link or parent")
            }
            self.context = context
        }
    }

    private static func share(_ value: JSONValue) -> Double? {
        let share: Double? =
            switch value {
            case .number(let digits): Double(digits)
            case .string(let text) where text.hasSuffix("%"): Double(text.dropLast()).map { $0 / 100 }
            default: nil
            }
        return share.flatMap { (0...1).contains($0) ? $0 : nil }
    }
}
