import Glibc

/// The files of an input, opened on demand.
final class InputCatalog {
    private(set) var files: [InputFile]
    let options: ReadingOptions
    let rule: FieldRule
    private let waker: Waker
    private let temporaryDirectory: String?
    /// The open regular files by number, and their numbers in order of use, most recent last.
    private var open: [Int: RegularFile] = [:]
    private var uses: [Int] = []
    private var streams: [Int: StreamFile] = [:]
    private var spools: [Int: SpooledStream] = [:]
    private var headers: [Int: TableHeader] = [:]
    /// Whether streams are copied to temporary files, so that they can be read again.
    private var keepsStreams: Bool

    init(
        _ files: [InputFile],
        configuration: SourceConfiguration,
        options: ReadingOptions,
        waker: Waker
    ) {
        self.files = files
        self.options = options
        self.rule = FieldRule(configuration)
        self.waker = waker
        self.temporaryDirectory = configuration.temporaryDirectory
        self.keepsStreams = configuration.shuffle
    }

    var hasStreams: Bool { files.contains(where: \.isStream) }

    /// Starts to keep streams; throws if a stream was already read without being kept.
    func keepStreams() throws {
        if !keepsStreams, let started = streams.keys.min() {
            throw SourceError(.alreadyRead, "\(files[started].path.display): was already read and not kept")
        }
        keepsStreams = true
    }

    /// The total size in bytes, or nil if it is unknown because a stream is not kept.
    var size: Int? {
        if hasStreams, !keepsStreams { return nil }
        let spooled = hasStreams ? options.spooled?.size ?? 0 : 0
        return files.reduce(spooled) { $0 + $1.size } + spools.values.reduce(0) { $0 + $1.size }
    }

    /// Returns whether a file can be read without waiting for another process.
    func isReady(_ number: Int) -> Bool {
        guard files[number].isStream, options.spooled == nil else { return true }
        return spools[number] != nil || (streams[number]?.isReady(at: 0) ?? false)
    }

    /// Returns the opened file.
    func input(_ number: Int) throws -> any ByteInput {
        guard files[number].isStream else { return try regularFile(number) }
        if files[number].isStandardInput, let spooled = options.spooled { return SpooledFile(spooled) }
        if let spool = spools[number] { return spool }
        let stream = try streams[number] ?? openStream(number)
        streams[number] = stream
        guard keepsStreams else { return stream }
        let spool = SpooledStream(stream, spool: try TemporaryFile(in: temporaryDirectory))
        spools[number] = spool
        return spool
    }

    private func openStream(_ number: Int) throws(SourceError) -> StreamFile {
        let file = files[number]
        // Without O_NONBLOCK, opening a named pipe waits for its writer and cannot be cancelled.
        let descriptor =
            file.isStandardInput
            ? Descriptor(options.standardInput, isBorrowed: true)
            : try Descriptor.open(file.path, flags: O_NONBLOCK)
        return StreamFile(descriptor, name: file.path.display, waker: waker)
    }

    private func regularFile(_ number: Int) throws(SourceError) -> RegularFile {
        if let file = open[number] {
            if uses.last != number, let place = uses.firstIndex(of: number) {
                uses.remove(at: place)
                uses.append(number)
            }
            return file
        }
        if uses.count >= options.openFiles { open[uses.removeFirst()] = nil }
        let file = try RegularFile(files[number])
        open[number] = file
        uses.append(number)
        return file
    }

    /// Reads the bytes of a span that is not in a window.
    func bytes(of span: RecordSpan) throws -> [UInt8] {
        let input = try input(span.file)
        return try [UInt8](unsafeUninitializedCapacity: span.length) { buffer, count in
            while count < span.length {
                let room = UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[count...])
                let read = try input.read(
                    into: .init(rebasing: room[..<(span.length - count)]),
                    at: span.offset + count
                )
                guard read > 0 else { throw SourceError.changed(files[span.file].path.display) }
                count += read
            }
        }
    }

    /// Sets the format of a stream, detected from its first bytes.
    func setFormat(_ format: SourceFormat, of number: Int) { files[number].format = format }

    func header(of number: Int) -> TableHeader? { headers[number] }

    /// Stores the header of a table; consecutive tables with the same header share it.
    func setHeader(_ header: TableHeader, of number: Int) {
        let earlier = number > 0 ? headers[number - 1] : nil
        headers[number] = earlier?.names == header.names ? earlier : header
    }

    /// Returns the place of a span: `path:line`, or the path if the whole file is a record.
    func place(of span: RecordSpan) -> String {
        let path = files[span.file].path.display
        return span.line == 0 ? path : "\(path):\(span.line)"
    }

    /// The first files, at most 100 files and a few kilobytes of paths.
    var listed: [InputFingerprint.ListedFile] {
        var room = 8 << 10
        return files.prefix(100).prefix { file in
            room -= file.path.bytes.count
            return room >= 0
        }.map { InputFingerprint.ListedFile(path: $0.path.display, size: $0.size, modified: $0.modified) }
    }

    /// The digest of the paths, sizes and modification times of all files.
    var digest: UInt64 {
        var hasher = ContentHasher()
        for file in files {
            hasher.update(file.path.bytes)
            hasher.update(file.size)
            hasher.update(file.modified)
        }
        return hasher.digest
    }
}
