import Glibc
import SystemPackage

/// Finds programs by name, as a shell does.
///
/// Subprocess tries to start the name in every folder of `PATH` until one works; asking first costs far less.
enum ProgramLookup {
    /// The first program of that name in a list of folders as `PATH` has it; relative folders are passed by.
    static func find(_ name: String, in path: String) -> FilePath? {
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
