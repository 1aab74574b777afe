import Glibc

/// Expands the user's inputs into files with formats, and checks that each file can be read.
struct InputExpansion {
    private let configuration: SourceConfiguration
    private var files: [InputFile] = []
    private var seen: Set<[UInt8]> = []
    /// Named files that are text according to their extension.
    private var textFiles: [String] = []

    /// Returns all files in reading order.
    static func files(of configuration: SourceConfiguration) throws -> [InputFile] {
        guard !configuration.inputs.isEmpty else {
            throw SourceError(.invalidConfiguration, "no input was given")
        }
        var expansion = InputExpansion(configuration: configuration)
        for input in configuration.inputs { try expansion.add(input) }
        if expansion.textFiles.count > 1 {
            let names = expansion.textFiles.prefix(2).joined(separator: ", ")
            let more = expansion.textFiles.count > 2 ? ", …" : ""
            throw SourceError(
                .unknownFormat,
                "\(names)\(more): ambiguous format: give the format lines if each line is a record, "
                    + "or the format files if each file is one"
            )
        }
        return expansion.files
    }

    private init(configuration: SourceConfiguration) { self.configuration = configuration }

    private mutating func add(_ input: String) throws {
        if input == "-" {
            guard seen.insert([UInt8(ascii: "-")]).inserted else { return }
            files.append(InputFile(standardInputAs: configuration.format))
            return
        }
        guard !input.isEmpty else { throw SourceError(.invalidConfiguration, "an input is an empty string") }
        let path = SystemPath(input, workingDirectory: configuration.workingDirectory)
        var status = stat()
        guard path.withCString({ stat($0, &status) }) == 0 else {
            let number = errno
            guard NamePattern.isPattern(input) else { throw SourceError.system(number, path: input) }
            let glob = Glob(input, workingDirectory: configuration.workingDirectory)
            return try addAll(try glob.files(), of: input, otherwise: "no file matches")
        }
        if status.isFolder {
            return try addAll(try FolderListing.files(below: path), of: input, otherwise: "the folder has no files")
        }
        try addNamed(path, status)
    }

    private mutating func addNamed(_ path: SystemPath, _ status: stat) throws {
        let ending = SourceFormat(ending: path.display)
        let format = configuration.format ?? ending
        if status.isRegular, format == nil {
            let choices = SourceFormat.allCases.map(\.rawValue).joined(separator: ", ")
            throw SourceError(
                .unknownFormat,
                "\(path.display): the file extension does not determine the format; give one of the formats \(choices)"
            )
        }
        guard seen.insert(path.bytes).inserted else { return }
        if configuration.format == nil, ending == .lines { textFiles.append(path.display) }
        try append(path, format: format, isStream: !status.isRegular)
    }

    private mutating func addAll(_ paths: [SystemPath], of input: String, otherwise message: String) throws {
        guard !paths.isEmpty else { throw SourceError(.noMatch, "\(input): \(message)") }
        let endings = paths.map { SourceFormat(ending: $0.display) }
        let areStructured = endings.allSatisfy { $0?.isStructured == true }
        let all = zip(paths, endings).sorted { $0.0.bytes.lexicographicallyPrecedes($1.0.bytes) }
        for (path, ending) in all where seen.insert(path.bytes).inserted {
            try Task.checkCancellation()
            let format = configuration.format ?? (areStructured ? ending : .files)
            try append(path, format: format, isStream: false)
        }
    }

    private mutating func append(_ path: SystemPath, format: SourceFormat?, isStream: Bool) throws(SourceError) {
        if isStream {
            // Opening a pipe can wait for its writer, so the reader opens it later.
            files.append(InputFile(path, size: 0, modified: 0, isStream: true, format: format))
            return
        }
        let status = try Descriptor.open(path).status(path: path)
        files.append(
            InputFile(path, size: status.st_size, modified: status.modified, isStream: false, format: format)
        )
    }
}

/// One file to read.
struct InputFile: Sendable {
    let path: SystemPath
    /// The format, or nil if the first bytes of a stream decide.
    var format: SourceFormat?
    /// The size in bytes when the input was opened; 0 for a stream.
    let size: Int
    /// The time of the last modification, in nanoseconds since 1970; 0 for a stream.
    let modified: Int
    /// Whether it is standard input, a pipe or a device, which have no size and can be read only once.
    let isStream: Bool
    /// Whether it is `-`.
    let isStandardInput: Bool

    /// Creates standard input.
    init(standardInputAs format: SourceFormat?) {
        self.path = SystemPath("-", workingDirectory: nil)
        self.format = format
        self.size = 0
        self.modified = 0
        self.isStream = true
        self.isStandardInput = true
    }

    /// Creates a file whose properties are known.
    init(_ path: SystemPath, size: Int, modified: Int, isStream: Bool, format: SourceFormat?) {
        self.path = path
        self.format = format
        self.size = isStream ? 0 : size
        self.modified = isStream ? 0 : modified
        self.isStream = isStream
        self.isStandardInput = false
    }
}
