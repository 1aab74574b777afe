import Glibc
import Synchronization
import SystemPackage

/// Finds programs by name, as a shell does.
///
/// Subprocess tries to start the name in every folder of `PATH` until one works; asking first costs far less. What was found
/// is remembered for as long as it is there, as a shell does.
final class ProgramLookup: Sendable {
    private struct Finding {
        let name: String
        let path: String
        let place: FilePath
    }

    private let latest = Mutex<Finding?>(nil)

    /// The first program of that name in a list of folders as `PATH` has it; relative folders are passed by.
    func find(_ name: String, in path: String) -> FilePath? {
        if let latest = latest.withLock({ $0 }), latest.name == name, latest.path == path, Self.isProgram(latest.place)
        {
            return latest.place
        }
        let place = Self.search(name, in: path)
        latest.withLock { $0 = place.map { Finding(name: name, path: path, place: $0) } }
        return place
    }

    private static func search(_ name: String, in path: String) -> FilePath? {
        for folder in path.split(separator: ":") where folder.hasPrefix("/") {
            let candidate = FilePath(String(folder)).appending(name)
            if isProgram(candidate) { return candidate }
        }
        return nil
    }

    /// Whether there is a file at a path that may be executed.
    static func isProgram(_ path: FilePath) -> Bool {
        path.withPlatformString { path in
            var status = stat()
            return access(path, X_OK) == 0 && stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
        }
    }
}
