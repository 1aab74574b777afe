/// Scans the records of all files, from the first to the last.
struct InputScanner {
    private let catalog: InputCatalog
    private let end: Int
    private var file: Int
    private var window: ByteWindow?
    private var splitter: (any RecordSplitter)?
    private let digests: Bool
    private var hasher = ContentHasher()
    /// Whether to wait for a stream that has no data yet, or to throw ``WouldWait``.
    var waits = true

    /// Creates a scanner of some or all files; `digests` requests a digest of the content.
    init(_ catalog: InputCatalog, files: Range<Int>? = nil, digests: Bool = false) {
        let files = files ?? 0..<catalog.files.count
        self.catalog = catalog
        self.file = files.lowerBound
        self.end = files.upperBound
        self.digests = digests
    }

    /// The digest of the content read so far, without files that are records as a whole.
    var digest: UInt64 { hasher.digest }

    /// Returns the bytes of the latest record if they are in memory.
    func heldBytes(of span: RecordSpan) -> [UInt8]? {
        guard span.file == file, let window, window.holds(span.range) else { return nil }
        return window.copy(span.range)
    }

    /// Returns the next record, or nil at the end.
    mutating func next() throws -> RecordSpan? {
        while file < end {
            if splitter == nil { try begin() }
            if let window {
                window.waits = waits
                if var span = try splitter?.next(in: window) {
                    span.file = file
                    return span
                }
                if let digest = window.hasher?.digest { hasher.update(Int(truncatingIfNeeded: digest)) }
            }
            window = nil
            splitter = nil
            file += 1
        }
        return nil
    }

    /// Opens the current file, detects its format and reads the header of a table.
    mutating func begin() throws {
        if !waits, !catalog.isReady(file) { throw WouldWait() }
        let window = ByteWindow(
            try catalog.input(file),
            options: catalog.options,
            hasher: digests ? ContentHasher() : nil
        )
        self.window = window
        let format = try catalog.files[file].format ?? Self.sniff(window)
        catalog.setFormat(format, of: file)
        if format == .files {
            splitter = WholeSplitter(size: catalog.files[file].isStream ? nil : catalog.files[file].size)
            return
        }
        let start = try Self.skipByteOrderMark(window)
        switch format {
        case .jsonl, .lines: splitter = LineSplitter(from: start, skipsSpaces: format == .jsonl)
        case .json: splitter = JSONSplitter(from: start)
        case .csv, .tsv: splitter = try table(window, from: start, format)
        case .files: break
        }
    }

    private func table(
        _ window: ByteWindow,
        from start: Int,
        _ format: SourceFormat
    ) throws -> TableSplitter {
        let separator = RecordDecoder.separator(of: format)
        let path = catalog.files[file].path.display
        var splitter = TableSplitter(from: start, separator: separator)
        guard let span = try splitter.next(in: window) else { return splitter }
        switch span.defect {
        case nil: break
        case .tooLarge:
            throw SourceError(.invalidHeader, "\(path): the header is larger than the maximum size of a record")
        default: throw SourceError(.invalidHeader, "\(path): a quote in the header is never closed")
        }
        let bytes = window.copy(span.range)
        catalog.setHeader(
            try TableHeader(bytes, separator: separator, path: path, rule: catalog.rule),
            of: file
        )
        return splitter
    }

    /// Returns the offset after a byte order mark, which is not part of the text.
    private static func skipByteOrderMark(_ window: ByteWindow) throws -> Int {
        while window.bytes(from: 0).count < 3, try window.more(from: 0, scanned: 0) {}
        return window.bytes(from: 0).starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0
    }

    /// Returns the format that the first bytes suggest; considers at most as much white space as one read returns.
    private static func sniff(_ window: ByteWindow) throws -> SourceFormat {
        let most = min(window.recordLimit, 64 * 1024)
        var scanned = try skipByteOrderMark(window)
        while true {
            for byte in window.bytes(from: scanned) {
                switch byte {
                case 0x20, 0x09, 0x0A, 0x0D: continue
                case UInt8(ascii: "{"): return .jsonl
                case UInt8(ascii: "["): return .json
                default: return .lines
                }
            }
            scanned += window.bytes(from: scanned).count
            if scanned >= most { return .lines }
            if try !window.more(from: 0, scanned: scanned) { return .lines }
        }
    }
}
