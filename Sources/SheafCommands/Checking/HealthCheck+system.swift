import Glibc
import SheafCore
import SystemPackage

extension HealthCheck {
    /// How many files this process may have open; each running program takes a few.
    static func openFiles() -> HealthCheck {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
            return HealthCheck(.warn, "open files", "the limit can not be found out")
        }
        return openFiles(limit: UInt64(limit.rlim_cur))
    }

    static func openFiles(limit: UInt64) -> HealthCheck {
        let words = limit > 1 << 40 ? "as many as wanted" : "at most \(limit)"
        guard limit < 1024 else { return HealthCheck(.ok, "open files", words) }
        let advice = "raise it with 'ulimit -n 4096'; a running task takes about four"
        return HealthCheck(.warn, "open files", words, advice: advice)
    }

    /// Whether there is something at a path.
    static func exists(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0
    }

    /// Whether an embedded broker can be made in a folder that does not exist yet; makes nothing.
    static func newBroker(at folder: String) -> HealthCheck {
        var above = FilePath(folder)
        repeat { above.removeLastComponent() } while !above.isEmpty && !exists(above.string)
        let place = above.isEmpty ? "." : above.string
        // A path that ends with a slash leads to folders only.
        guard access(place + "/", W_OK | X_OK) == 0 else {
            return HealthCheck("broker", failed: WriteError(Errno(rawValue: errno), name: folder))
        }
        return HealthCheck(.ok, "broker", "embedded at \(folder), which is made when it is first used")
    }

    /// How much room the disk of a folder has.
    static func freeSpace(at folder: String) -> HealthCheck {
        var status = statvfs()
        guard statvfs(folder, &status) == 0 else {
            return HealthCheck(.warn, "disk", "\(folder): \(String(cString: strerror(errno)))")
        }
        return freeSpace(bytes: UInt64(status.f_bavail) * UInt64(status.f_frsize), at: folder)
    }

    static func freeSpace(bytes: UInt64, at folder: String) -> HealthCheck {
        let words = "\(bytes >> 20) MiB free at \(folder)"
        guard bytes < 200 << 20 else { return HealthCheck(.ok, "disk", words) }
        return HealthCheck(.warn, "disk", words, advice: "make room; a batch needs about twice the size of its input")
    }

    /// What Sheaf takes and what not.
    static func limits() -> HealthCheck {
        HealthCheck(
            .ok,
            "limits",
            "a record has at most \(Record.maximumSize >> 20) MiB, its id \(Record.maximumIDSize) bytes; "
                + "a batch has at most \(BatchState.maximumTasks) tasks"
        )
    }
}
