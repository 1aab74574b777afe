import Logging

/// Writes log entries for people: one line each on standard error, without time or place unless they are debugging.
struct ConsoleLogHandler: LogHandler {
    let console: Console
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]

    init(console: Console, level: Logger.Level) {
        self.console = console
        self.logLevel = level
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        console.complain(Self.line(of: event, metadata: metadata))
    }

    /// The entry as one line.
    static func line(of event: LogEvent, metadata: Logger.Metadata) -> String {
        var text = "sheaf: \(event.level): \(event.message)"
        let details = metadata.merging(event.metadata ?? [:]) { $1 }
        if let error = event.error { text += ": \(error)" }
        if !details.isEmpty {
            text += " (" + details.sorted { $0.key < $1.key }.map { "\($0)=\($1)" }.joined(separator: " ") + ")"
        }
        return text.split(whereSeparator: \.isNewline).joined(separator: " ")
    }
}
