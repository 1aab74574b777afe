import Dispatch
import SheafCore

/// An actor that reads the records of one input on its own queue.
///
/// It stores a position in the input only as an optimization: callers request each chunk by its position.
actor RecordReader {
    private let queue = ReadingQueue()
    /// Ends a wait for standard input if the waiting task is cancelled.
    nonisolated let waker: Waker
    private let configuration: SourceConfiguration
    private let options: ReadingOptions
    private let decoder: RecordDecoder
    /// The records to treat as if they were not in the input.
    private let excluded: RecordIDSet?
    private var catalog: InputCatalog?
    private var index: RecordIndex?
    private var order = Permutation(count: 0, seed: 0)
    /// The current pass over the input if there is no index, and the number of records it has passed.
    private var scanner: InputScanner?
    private var position = 0
    /// The number of records excluded by their ids in the current pass or in the pass for the index.
    private(set) var skipped = 0

    nonisolated var unownedExecutor: UnownedSerialExecutor { queue.asUnownedSerialExecutor() }

    init(
        _ configuration: SourceConfiguration,
        leavingOut excluded: RecordIDSet?,
        options: ReadingOptions
    ) throws(SourceError) {
        self.excluded = excluded
        self.configuration = configuration
        self.options = options
        self.waker = try Waker()
        self.decoder = RecordDecoder(rule: FieldRule(configuration), limit: options.recordLimit)
    }

    /// The maximum number of records.
    private var limit: Int { max(configuration.maxRecords ?? .max, 0) }

    /// Finds the files and checks them, as far as possible without consuming standard input.
    func open() throws -> (count: Int?, fingerprint: InputFingerprint) {
        let files = try InputExpansion.files(of: configuration)
        let catalog = InputCatalog(files, configuration: configuration, options: options, waker: waker)
        self.catalog = catalog
        var content: UInt64?
        if configuration.shuffle {
            content = try makeIndex(catalog)
        } else {
            try checkAhead(catalog)
        }
        let fingerprint = InputFingerprint(
            files: files.count,
            size: catalog.size,
            metadata: catalog.digest,
            content: content,
            listed: catalog.listed
        )
        return (index?.count, fingerprint)
    }

    /// Writes the index of all records or of a sample, and returns the digest of the content.
    private func makeIndex(_ catalog: InputCatalog) throws -> UInt64 {
        var scanner = InputScanner(catalog, digests: true)
        var index = try RecordIndex(in: configuration.temporaryDirectory)
        while let span = try scanner.next() {
            if excluded != nil {
                let item = try item(span, number: index.count, catalog, held: scanner.heldBytes(of: span))
                if leavesOut(item) { continue }
            }
            try index.append(span)
        }
        try index.flush()
        if index.count == 0 { throw empty(catalog) }
        if limit < index.count {
            // The sample and the order must not be derived from the same random numbers.
            let seed = SplitMix64.mix(configuration.seed &+ 1)
            index = try index.sample(limit, seed: seed, in: configuration.temporaryDirectory)
        }
        self.index = index
        order = Permutation(count: index.count, seed: configuration.seed)
        return scanner.digest
    }

    /// Detects errors that would otherwise appear only during reading: invalid headers, and an input without records.
    private func checkAhead(_ catalog: InputCatalog) throws {
        for (number, file) in catalog.files.enumerated() where file.format == .csv || file.format == .tsv {
            guard !file.isStream else { continue }
            var scanner = InputScanner(catalog, files: number..<number + 1)
            try scanner.begin()
        }
        guard !catalog.hasStreams else { return }
        var scanner = InputScanner(catalog)
        if try scanner.next() == nil { throw empty(catalog) }
    }

    private func empty(_ catalog: InputCatalog) -> SourceError {
        if skipped > 0 {
            let records = "\(skipped) record\(skipped == 1 ? "" : "s")"
            return SourceError(.nothingLeft, "no records are left in the input: all \(records) are excluded")
        }
        let stream = options.spooled == nil ? "standard input" : "the request"
        let inputs = configuration.inputs.prefix(3).map { $0 == "-" ? stream : $0 }
        let names = inputs.joined(separator: ", ") + (configuration.inputs.count > 3 ? ", …" : "")
        let verb = configuration.inputs.count > 1 ? "have" : "has"
        return SourceError(.empty, "\(names) \(verb) no records")
    }

    /// Returns one chunk of items from a position on; empty at the end.
    func chunk(at start: Int) throws -> [SourceItem] {
        guard let catalog, start < limit else { return [] }
        var items: [SourceItem] = []
        var size = 0
        func isFull() -> Bool { items.count >= options.itemsPerChunk || size >= options.bytesPerChunk }
        if let index {
            while !isFull(), start + items.count < index.count {
                let number = order[start + items.count]
                let span = try index[number]
                items.append(try item(span, number: number, catalog, held: nil))
                size += span.length
            }
            return items
        }
        try seek(to: start, catalog)
        while !isFull(), position < limit {
            // Items that have arrived are returned before waiting for more.
            scanner?.waits = items.isEmpty
            do {
                guard let span = try scanner?.next() else { break }
                let item = try item(span, number: position, catalog, held: scanner?.heldBytes(of: span))
                if leavesOut(item) { continue }
                items.append(item)
                size += span.defect == nil ? span.length : 0
                position += 1
            } catch is WouldWait {
                break
            }
        }
        if items.isEmpty, start == 0 { throw empty(catalog) }
        return items
    }

    /// Moves the current pass over the input to a position.
    private func seek(to start: Int, _ catalog: InputCatalog) throws {
        if scanner != nil, position == start { return }
        scanner = InputScanner(catalog)
        position = 0
        skipped = 0
        while position < start, let span = try scanner?.next() {
            if excluded != nil, leavesOut(try item(span, number: position, catalog, held: scanner?.heldBytes(of: span)))
            {
                continue
            }
            position += 1
        }
    }

    /// Returns whether a record is excluded, and counts it if so.
    private func leavesOut(_ item: SourceItem) -> Bool {
        guard let excluded, case .record(let record) = item.content, excluded.contains(record.id) else { return false }
        skipped += 1
        return true
    }

    /// Reads and decodes every record that ``chunk(at:)`` would return, in input order.
    func check(keeping most: Int) throws -> StrictReport {
        var report = StrictReport(checked: 0, invalid: 0, first: [])
        guard let catalog else { return report }
        if let index {
            try index.forEach { number, span in
                report.add(try item(span, number: number, catalog, held: nil), keeping: most)
            }
            return report
        }
        try catalog.keepStreams()
        var scanner = InputScanner(catalog)
        skipped = 0
        while report.checked < limit, let span = try scanner.next() {
            let item = try item(span, number: report.checked, catalog, held: scanner.heldBytes(of: span))
            if leavesOut(item) { continue }
            report.add(item, keeping: most)
        }
        if report.checked == 0, limit > 0 { throw empty(catalog) }
        return report
    }

    private func item(
        _ span: RecordSpan,
        number: Int,
        _ catalog: InputCatalog,
        held: @autoclosure () -> [UInt8]?
    ) throws -> SourceItem {
        let place = catalog.place(of: span)
        if let message = decoder.message(span) {
            return SourceItem(index: number, place: place, content: .invalid(message: message))
        }
        let bytes = try held() ?? catalog.bytes(of: span)
        let origin = RecordDecoder.Origin(
            format: catalog.files[span.file].format ?? .lines,
            place: place,
            line: span.line,
            header: catalog.header(of: span.file)
        )
        return SourceItem(index: number, place: place, content: decoder.content(bytes, of: origin))
    }
}

/// A dedicated queue for blocking reads, so that a disk or a pipe never blocks the threads that Swift tasks share.
final class ReadingQueue: SerialExecutor {
    private let queue = DispatchQueue(label: "sheaf.sources")

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async { job.runSynchronously(on: self.asUnownedSerialExecutor()) }
    }
}

/// Sizes that tests can reduce.
struct ReadingOptions: Sendable {
    /// The size of one read, in bytes.
    var readSize = 256 * 1024
    /// The maximum size of a record, in bytes.
    var recordLimit = Record.maximumSize
    /// The maximum number of items in a chunk.
    var itemsPerChunk = 500
    /// The size in bytes at which a chunk takes no further records.
    var bytesPerChunk = 1 << 20
    /// The maximum number of open files.
    var openFiles = 64
    /// The descriptor that `-` stands for.
    var standardInput: Int32 = 0
    /// What `-` stands for instead, if it is not a descriptor.
    var spooled: SpooledInput?
}
