import Glibc

/// Why an input can not be read.
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

        /// There is no such file or folder.
        public static let notFound = Code(.notFound)
        /// The file or folder may not be read by this user.
        public static let permissionDenied = Code(.permissionDenied)
        /// A glob or a folder has no files.
        public static let noMatch = Code(.noMatch)
        /// Reading failed for another reason.
        public static let unreadable = Code(.unreadable)
        /// The format of an input can not be told from its name.
        public static let unknownFormat = Code(.unknownFormat)
        /// The header of a table is missing, broken, or has empty or repeated names.
        public static let invalidHeader = Code(.invalidHeader)
        /// There is no record in the whole input.
        public static let empty = Code(.empty)
        /// There are records, and all of them were to be left out.
        public static let nothingLeft = Code(.nothingLeft)
        /// A file changed while it was in use.
        public static let changed = Code(.changed)
        /// Standard input was read already and not kept.
        public static let alreadyRead = Code(.alreadyRead)
        /// A temporary file can not be made or written.
        public static let temporaryStorage = Code(.temporaryStorage)
        /// The configuration makes no sense.
        public static let invalidConfiguration = Code(.invalidConfiguration)
    }

    /// The kind.
    public let code: Code
    /// What is wrong and where, for people.
    public let message: String

    /// Makes an error.
    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// The message.
    public var description: String { message }

    /// What a failed system call on a file means.
    static func system(_ number: Int32, path: String) -> SourceError {
        switch number {
        case ENOENT, ENOTDIR: SourceError(.notFound, "\(path): no such file or folder")
        case EACCES, EPERM: SourceError(.permissionDenied, "\(path): permission denied")
        default: SourceError(.unreadable, "\(path): can not be read (\(String(cString: strerror(number))))")
        }
    }

    static func changed(_ path: String) -> SourceError {
        SourceError(.changed, "\(path): changed while it was being read")
    }
}
