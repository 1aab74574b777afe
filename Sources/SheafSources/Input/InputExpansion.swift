import Glibc

/// Turns the inputs as the user gave them into files with formats, and checks that each can be read.
struct InputExpansion {
    private let configuration: SourceConfiguration
    private var files: [InputFile] = []
    private var seen: Set<[UInt8]> = []
    /// Named files that are text by their ending alone.
    private var textFiles: [String] = []

    /// All files in the order of reading.
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
                "\(names)\(more): say with --format lines that each line is a record, "
                    + "or with --format files that each file is one"
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
        guard !input.isEmpty else { throw SourceError(.invalidConfiguration, "an input is an empty text") }
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
                "\(path.display): the ending does not tell the format; give it with --format (\(choices))"
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
            // Opening a pipe can wait for its writer: that is left to the reading.
            files.append(InputFile(path, size: 0, modified: 0, isStream: true, format: format))
            return
        }
        let status = try Descriptor.open(path).status(path: path)
        files.append(
            InputFile(path, size: status.st_size, modified: status.modified, isStream: false, format: format)
        )
    }
}
