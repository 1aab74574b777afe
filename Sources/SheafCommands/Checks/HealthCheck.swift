import Glibc
import SheafCore
import SystemPackage

/// The result of one check of `doctor`.
struct HealthCheck: Sendable, Equatable {
    /// The level of a result.
    enum Level: String, Sendable {
        /// No problem.
        case ok
        /// Something to know about.
        case note
        /// It works, but something should be fixed.
        case warn
        /// It does not work.
        case fail

        fileprivate var colour: Style.Colour {
            switch self {
            case .ok: .green
            case .note: .blue
            case .warn: .yellow
            case .fail: .red
            }
        }
    }

    /// What was checked.
    var subject: String
    /// The level.
    var level: Level
    /// What was found.
    var message: String
    /// What to do about it.
    var advice: String?
    /// The exit code of a failure.
    var status = ExitReason.success

    init(_ level: Level, _ subject: String, _ message: String, advice: String? = nil) {
        self.subject = SafeText.line(Credentials.masked(subject))
        self.level = level
        self.message = SafeText.lines(Credentials.masked(message))
        self.advice = advice.map { SafeText.line(Credentials.masked($0)) }
    }

    /// Creates a check that failed with an error.
    init(_ subject: String, failed error: any Error) {
        let diagnosis = Diagnosis(of: error)
        self.init(.fail, subject, diagnosis.message ?? "interrupted", advice: diagnosis.advice)
        status = diagnosis.status
    }

    /// Returns the lines for people.
    func lines(style: Style) -> [String] {
        let word = level.rawValue + String(repeating: " ", count: 4 - level.rawValue.count)
        let indent = String(repeating: " ", count: 6)
        let text = "\(subject): \(message)".split(separator: "\n").joined(separator: "\n\(indent)")
        return [style.paint(word, level.colour) + "  " + text] + (advice.map { ["\(indent)→ \($0)"] } ?? [])
    }

    /// The check as a JSON object.
    var json: JSONValue {
        [
            "subject": .string(subject), "level": .string(level.rawValue), "message": .string(message),
            "advice": .optional(advice),
        ]
    }
}

extension HealthCheck {
    /// Checks how many files this process may open; each running program needs a few.
    static func openFiles() -> HealthCheck {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
            return HealthCheck(.warn, "open files", "the limit is unknown")
        }
        return openFiles(limit: UInt64(limit.rlim_cur))
    }

    static func openFiles(limit: UInt64) -> HealthCheck {
        let text = limit > 1 << 40 ? "no limit" : "at most \(limit)"
        guard limit < 1024 else { return HealthCheck(.ok, "open files", text) }
        let advice = "raise it with 'ulimit -n 4096'; a running task needs about four"
        return HealthCheck(.warn, "open files", text, advice: advice)
    }

    /// Returns whether a file or a folder exists.
    static func exists(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0
    }

    /// Checks whether an embedded broker could be created in a folder that does not exist yet; creates nothing.
    static func newBroker(at folder: String) -> HealthCheck {
        var above = FilePath(folder)
        repeat { above.removeLastComponent() } while !above.isEmpty && !exists(above.string)
        let place = above.isEmpty ? "." : above.string
        // A path that ends with a slash must be a folder.
        guard access(place + "/", W_OK | X_OK) == 0 else {
            return HealthCheck("broker", failed: WriteError(Errno(rawValue: errno), name: folder))
        }
        return HealthCheck(.ok, "broker", "embedded at \(folder), which is created on first use")
    }

    /// Checks how much space the disk of a folder has.
    static func freeSpace(at folder: String) -> HealthCheck {
        var status = statvfs()
        guard statvfs(folder, &status) == 0 else {
            return HealthCheck(.warn, "disk", "\(folder): \(String(cString: strerror(errno)))")
        }
        return freeSpace(bytes: UInt64(status.f_bavail) * UInt64(status.f_frsize), at: folder)
    }

    static func freeSpace(bytes: UInt64, at folder: String) -> HealthCheck {
        let text = "\(bytes >> 20) MiB free at \(folder)"
        guard bytes < 200 << 20 else { return HealthCheck(.ok, "disk", text) }
        return HealthCheck(
            .warn,
            "disk",
            text,
            advice: "free some space; a batch needs about twice the size of its input"
        )
    }

    /// Lists the limits of Sheaf.
    static func limits() -> HealthCheck {
        HealthCheck(
            .ok,
            "limits",
            "a record has at most \(Record.maximumSize >> 20) MiB, its id \(Record.maximumIDSize) bytes; "
                + "a batch has at most \(BatchState.maximumTasks) tasks"
        )
    }
}
