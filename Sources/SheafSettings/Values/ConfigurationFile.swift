import SystemPackage

/// The file that holds the configuration.
struct ConfigurationFile: Sendable, Equatable {
    /// The name to look for.
    static let name = "sheaf.yaml"
    /// The largest size in bytes; a larger file is no configuration.
    private static let maximumSize = 4 << 20

    /// The absolute path.
    let path: String
    /// The path for messages.
    let shownPath: String
    let text: String

    /// The folder of the file.
    var folder: ConfigurationFolder { ConfigurationFolder(FilePath(path).removingLastComponent().string) }

    /// Reads a file that a flag or a variable names.
    init(named path: String, by origin: SettingsOrigin, in directory: ConfigurationFolder) throws(SettingsError) {
        do {
            let absolute = directory.path(path)
            try self.init(path: absolute, shownPath: path, text: Self.read(absolute))
        } catch let error as Errno {
            throw SettingsError("'\(path)' cannot be read: \(error)", from: origin)
        } catch {
            throw SettingsError("'\(path)' \(error)", from: origin)
        }
    }

    /// Looks for the file in a folder and those above it; returns nil if there is none.
    static func find(from directory: ConfigurationFolder) throws(SettingsError) -> ConfigurationFile? {
        var folder = FilePath(directory.path)
        while true {
            let path = folder.appending(name).string
            let shown = folder.string == directory.path ? name : path
            do {
                return ConfigurationFile(path: path, shownPath: shown, text: try read(path))
            } catch Errno.noSuchFileOrDirectory, Errno.notDirectory {
                guard folder.removeLastComponent() else { return nil }
            } catch {
                throw SettingsError("'\(shown)' cannot be read: \(error)")
            }
        }
    }

    private init(path: String, shownPath: String, text: String) {
        self.path = path
        self.shownPath = shownPath
        self.text = text
    }

    private static func read(_ path: String) throws -> String {
        let file = try FileDescriptor.open(FilePath(path), .readOnly, options: .closeOnExec)
        defer { try? file.close() }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = try buffer.withUnsafeMutableBytes { try file.read(into: $0) }
            if count == 0 { break }
            bytes.append(contentsOf: buffer[..<count])
            if bytes.count > maximumSize { throw FileProblem(description: "is too large for a configuration") }
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw FileProblem(description: "is not UTF-8 text")
        }
        return text
    }

    private struct FileProblem: Error, CustomStringConvertible {
        let description: String
    }
}

/// The folder that the relative paths of a configuration start from.
struct ConfigurationFolder: Sendable, Equatable {
    /// The absolute path.
    let path: String

    init(_ path: String) {
        self.path = FilePath(path).lexicallyNormalized().string
    }

    /// Returns the absolute path for a path relative to the folder.
    func path(_ relative: String) -> String {
        FilePath(path).pushing(FilePath(relative)).lexicallyNormalized().string
    }
}
