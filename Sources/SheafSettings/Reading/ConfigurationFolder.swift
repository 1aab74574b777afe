import SystemPackage

/// The folder from which the paths of a configuration are taken.
struct ConfigurationFolder: Sendable, Equatable {
    /// The folder, absolute.
    let path: String

    init(_ path: String) {
        self.path = FilePath(path).lexicallyNormalized().string
    }

    /// A path as seen from the folder, absolute.
    func path(_ relative: String) -> String {
        FilePath(path).pushing(FilePath(relative)).lexicallyNormalized().string
    }
}
