/// Writes metrics in the text format of Prometheus, version 0.0.4.
///
/// Format: https://prometheus.io/docs/instrumenting/exposition_formats/
package struct PrometheusText: Sendable {
    /// The media type of the format.
    package static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    /// What was written.
    package private(set) var text = ""
    private var name = ""

    /// Creates an empty text.
    package init() {}

    /// Begins a metric; the samples that follow belong to it.
    package mutating func begin(_ name: String, _ kind: MetricDefinition.Kind, help: String) {
        self.name = name
        text += "# HELP \(name) \(Self.escaped(help, quotes: false))\n# TYPE \(name) \(kind.rawValue)\n"
    }

    /// Begins a metric of Sheaf.
    package mutating func begin(_ definition: MetricDefinition) {
        begin(definition.name, definition.kind, help: definition.help)
    }

    /// Writes a sample.
    package mutating func sample(_ labels: Labels = Labels(), _ value: Double) {
        write("", labels.text, Self.number(value))
    }

    /// Writes a sample with an integer.
    package mutating func sample(_ labels: Labels = Labels(), _ value: Int) {
        write("", labels.text, String(value))
    }

    /// Writes a histogram.
    ///
    /// - Parameters:
    ///   - labels: The labels of all its series.
    ///   - bounds: The upper bounds of the buckets.
    ///   - counts: The values in each bucket alone, and last those above all bounds.
    ///   - sum: The sum of all values.
    package mutating func histogram(_ labels: Labels, bounds: [Double], counts: [Int], sum: Double) {
        let separator = labels.text.isEmpty ? "" : ","
        var total = 0
        for (bound, count) in zip(bounds + [.infinity], counts) {
            total += count
            write("_bucket", "\(labels.text)\(separator)le=\"\(Self.number(bound))\"", String(total))
        }
        write("_sum", labels.text, Self.number(sum))
        write("_count", labels.text, String(total))
    }

    private mutating func write(_ suffix: String, _ labels: String, _ value: String) {
        text += name
        text += suffix
        if !labels.isEmpty {
            text += "{"
            text += labels
            text += "}"
        }
        text += " "
        text += value
        text += "\n"
    }

    // MARK: Parts

    /// The labels of a series, written once.
    package struct Labels: Sendable, Hashable, Comparable {
        fileprivate let text: String

        package static func < (left: Self, right: Self) -> Bool { left.text < right.text }

        /// Creates labels: invalid characters of a name become `_`, and the last of several with one name counts.
        package init(_ labels: [(name: String, value: String)] = []) {
            let names = labels.map { PrometheusText.labelName($0.name) }
            text = zip(names, labels).enumerated()
                .filter { place, _ in !names[(place + 1)...].contains(names[place]) }
                .map { _, label in "\(label.0)=\"\(PrometheusText.escaped(label.1.value, quotes: true))\"" }
                .joined(separator: ",")
        }
    }

    /// Returns a valid name for a metric.
    static func metricName(_ text: String) -> String { sanitized(text) { $0 == ":" } }

    private static func labelName(_ text: String) -> String { sanitized(text) { _ in false } }

    private static func sanitized(_ text: String, allowing isAllowed: (Unicode.Scalar) -> Bool) -> String {
        var name = ""
        for scalar in text.unicodeScalars {
            let isLetter = ("a"..."z").contains(scalar) || ("A"..."Z").contains(scalar) || scalar == "_"
            let isDigit = ("0"..."9").contains(scalar) && !name.isEmpty
            name.unicodeScalars.append(isLetter || isDigit || isAllowed(scalar) ? scalar : "_")
        }
        return name.isEmpty ? "_" : name
    }

    private static func escaped(_ text: String, quotes: Bool) -> String {
        guard text.utf8.contains(where: { $0 == UInt8(ascii: "\\") || $0 == UInt8(ascii: "\n") || $0 == 34 }) else {
            return text
        }
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": escaped += "\\\\"
            case "\n": escaped += "\\n"
            case "\"" where quotes: escaped += "\\\""
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }

    private static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        return Int(exactly: value).map { String($0) } ?? String(value)
    }
}
