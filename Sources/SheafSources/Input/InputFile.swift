/// One file to read.
struct InputFile: Sendable {
    let path: SystemPath
    /// The format, or nil where the first bytes of a stream decide.
    var format: SourceFormat?
    /// The size when the input was opened; 0 for a stream.
    let size: Int
    /// When the content changed last, in nanoseconds since 1970; 0 for a stream.
    let modified: Int
    /// Whether it is standard input, a pipe or a device: without a size, and read once only.
    let isStream: Bool
    /// Whether it is `-`.
    let isStandardInput: Bool

    /// Standard input.
    init(standardInputAs format: SourceFormat?) {
        self.path = SystemPath("-", workingDirectory: nil)
        self.format = format
        self.size = 0
        self.modified = 0
        self.isStream = true
        self.isStandardInput = true
    }

    /// A path that has been looked at.
    init(_ path: SystemPath, size: Int, modified: Int, isStream: Bool, format: SourceFormat?) {
        self.path = path
        self.format = format
        self.size = isStream ? 0 : size
        self.modified = isStream ? 0 : modified
        self.isStream = isStream
        self.isStandardInput = false
    }
}
