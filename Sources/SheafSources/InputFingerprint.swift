/// Tells whether an input is still the same, cheaply.
public struct InputFingerprint: Sendable, Equatable {
    /// How many files there are.
    public let files: Int
    /// How many bytes they have, or nil where standard input is not kept and so not known.
    public let size: Int?
    /// A digest of the paths, sizes and times of the files.
    public let metadata: UInt64
    /// A digest of the content, or nil where it was not read for an index.
    ///
    /// Files that are records themselves, and what stands behind broken JSON, are not part of it.
    public let content: UInt64?

    /// Makes a fingerprint.
    public init(files: Int, size: Int?, metadata: UInt64, content: UInt64?) {
        self.files = files
        self.size = size
        self.metadata = metadata
        self.content = content
    }
}
