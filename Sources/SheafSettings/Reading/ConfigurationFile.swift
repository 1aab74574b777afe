import SystemPackage

/// The file that holds the configuration.
struct ConfigurationFile: Sendable, Equatable {
    /// The name that is looked for.
    static let name = "sheaf.yaml"
    /// More is certainly no configuration.
    private static let maximumSize = 4 << 20

    /// The file, absolute.
    let path: String
    /// The file as it stands in messages.
    let shownPath: String
    let text: String

    /// The folder it is in.
    var folder: ConfigurationFolder { ConfigurationFolder(FilePath(path).removingLastComponent().string) }

    /// Reads the file that was named.
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

    /// Looks for the file in a folder and those above it; nil where there is none.
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
