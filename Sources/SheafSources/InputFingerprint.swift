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
    /// The first files one by one, so that it can be said which of them has changed; all of them where they are few.
    public let listed: [ListedFile]

    /// Makes a fingerprint.
    public init(files: Int, size: Int?, metadata: UInt64, content: UInt64?, listed: [ListedFile] = []) {
        self.files = files
        self.size = size
        self.metadata = metadata
        self.content = content
        self.listed = listed
    }

    /// What is known of one file without reading it.
    public struct ListedFile: Sendable, Equatable {
        /// The path as it was given or found; what is not UTF-8 is replaced.
        public let path: String
        /// The bytes it has; 0 for a stream.
        public let size: Int
        /// When its content changed last, in nanoseconds since 1970; 0 for a stream.
        public let modified: Int
    }
}
