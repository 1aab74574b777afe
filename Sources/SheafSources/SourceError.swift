import Glibc

/// The reason why an input cannot be read.
public struct SourceError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The kind of an error.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Value: String {
            case notFound, permissionDenied, noMatch, unreadable, unknownFormat, invalidHeader, empty, nothingLeft,
                changed
            case alreadyRead, temporaryStorage, invalidConfiguration
        }
        private let value: Value

        private init(_ value: Value) { self.value = value }

        /// The code's name.
        public var description: String { value.rawValue }

        /// The file or folder does not exist.
        public static let notFound = Code(.notFound)
        /// The user has no permission to read the file or folder.
        public static let permissionDenied = Code(.permissionDenied)
        /// A glob or a folder has no files.
        public static let noMatch = Code(.noMatch)
        /// Reading failed for another reason.
        public static let unreadable = Code(.unreadable)
        /// The format of an input cannot be derived from its name.
        public static let unknownFormat = Code(.unknownFormat)
        /// The header of a table is missing or invalid, or has empty or repeated names.
        public static let invalidHeader = Code(.invalidHeader)
        /// The input has no records.
        public static let empty = Code(.empty)
        /// All records of the input are excluded.
        public static let nothingLeft = Code(.nothingLeft)
        /// A file changed while it was in use.
        public static let changed = Code(.changed)
        /// Standard input was already read and not kept.
        public static let alreadyRead = Code(.alreadyRead)
        /// A temporary file cannot be created or written.
        public static let temporaryStorage = Code(.temporaryStorage)
        /// The configuration is invalid.
        public static let invalidConfiguration = Code(.invalidConfiguration)
    }

    /// The kind.
    public let code: Code
    /// The error message, with the file and the position.
    public let message: String

    /// Creates an error.
    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// The message.
    public var description: String { message }

    /// Returns the error for a failed system call on a file.
    static func system(_ number: Int32, path: String) -> SourceError {
        switch number {
        case ENOENT, ENOTDIR: SourceError(.notFound, "\(path): no such file or folder")
        case EACCES, EPERM: SourceError(.permissionDenied, "\(path): permission denied")
        default: SourceError(.unreadable, "\(path): cannot be read (\(String(cString: strerror(number))))")
        }
    }

    static func changed(_ path: String) -> SourceError {
        SourceError(.changed, "\(path): changed while it was being read")
    }
}
