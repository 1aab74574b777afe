import Glibc
import SystemPackage

extension ProgramCommand {
    /// Whether the program and the folder it runs in are there; starts nothing.
    func examine() -> FlowExamination {
        let folder = FilePath(directory)
        guard Self.canBeEntered(folder) else {
            return FlowExamination(
                use: "runs \(program)",
                problem: "the folder '\(directory)' is not there, or cannot be entered"
            )
        }
        let path: FilePath
        do throws(FlowError) {
            path = try executable(in: folder)
        } catch {
            return FlowExamination(use: "runs \(program)", problem: error.message)
        }
        let shown = path.lexicallyNormalized()
        let isThere = ProgramLookup.isProgram(path)
        return FlowExamination(
            use: "runs \(shown)",
            problem: isThere ? nil : "the program '\(shown)' is not there, or is not executable"
        )
    }

    private static func canBeEntered(_ folder: FilePath) -> Bool {
        folder.withPlatformString { path in
            var status = stat()
            return access(path, X_OK) == 0 && stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
        }
    }
}
