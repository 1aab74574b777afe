import Logging
import Synchronization

@testable import SheafFlows

/// Child programs in Python that live for many tasks.
enum Children {
    /// Makes a flow whose program runs the script for each `task`; `reply(…)` writes a line.
    static func flow(
        _ script: String,
        maximumTasks: Int? = nil,
        maximumOutput: Int = ExecFlow.defaultMaximumOutput
    ) throws -> ProcessFlow {
        let program = """
            import json, os, sys, time
            def reply(**line): print(json.dumps(line), flush=True)
            for line in iter(sys.stdin.readline, ""):
                task = json.loads(line)
                exec(sys.argv[1])
            """
        return try ProcessFlow(
            ["python3", "-c", program, script],
            maximumTasks: maximumTasks,
            maximumOutput: maximumOutput
        )
    }
}

/// Keeps the entries of a log.
final class LogLines: Sendable {
    private struct Handler: LogHandler {
        let log: LogLines
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            log.kept.withLock { $0.append("\(event.level) \(event.message)") }
        }
    }

    private let kept = Mutex<[String]>([])

    /// The level and the message of each entry.
    var lines: [String] { kept.withLock { $0 } }

    /// A logger that writes here.
    var logger: Logger { Logger(label: "test") { _ in Handler(log: self) } }
}
