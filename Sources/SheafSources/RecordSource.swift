public import SheafCore

/// The records of an input, read in constant memory, in order or shuffled.
///
/// If the order is shuffled, opening reads the input once and writes the position of each record to a temporary file.
/// Records are then read in an order that is computed position by position. Otherwise records are read as they come,
/// and no input is consumed beyond what the caller asks for.
public struct RecordSource: Sendable {
    private let reader: RecordReader
    /// Whether the input includes standard input.
    package let readsStandardInput: Bool

    /// The number of records, including invalid ones, or nil if it is known only at the end.
    public let count: Int?
    /// The fingerprint of the input, to detect later whether it has changed.
    public let fingerprint: InputFingerprint

    /// Opens an input and detects errors that concern it as a whole.
    ///
    /// If the order is shuffled, this method reads standard input to its end; otherwise it reads nothing from it.
    /// Records whose ids are in `excluded` are treated as if they were not in the input.
    ///
    /// - Throws: ``SourceError`` if the input cannot be read, has an invalid header or has no records, and
    ///   `CancellationError` if the task is cancelled.
    public static func open(
        _ configuration: SourceConfiguration,
        leavingOut excluded: RecordIDSet? = nil
    ) async throws -> RecordSource {
        try await open(configuration, leavingOut: excluded, options: ReadingOptions())
    }

    /// Opens an input in which `-` stands for a spooled input.
    package static func open(_ configuration: SourceConfiguration, spooled: SpooledInput) async throws -> RecordSource {
        var options = ReadingOptions()
        options.spooled = spooled
        return try await open(configuration, options: options)
    }

    static func open(
        _ configuration: SourceConfiguration,
        leavingOut excluded: RecordIDSet? = nil,
        options: ReadingOptions
    ) async throws -> RecordSource {
        let reader = try RecordReader(configuration, leavingOut: excluded, options: options)
        let found = try await withTaskCancellationHandler {
            try await reader.open()
        } onCancel: {
            reader.waker.signal()
        }
        return RecordSource(
            reader: reader,
            readsStandardInput: configuration.inputs.contains("-"),
            count: found.count,
            fingerprint: found.fingerprint
        )
    }

    private init(reader: RecordReader, readsStandardInput: Bool, count: Int?, fingerprint: InputFingerprint) {
        self.reader = reader
        self.readsStandardInput = readsStandardInput
        self.count = count
        self.fingerprint = fingerprint
    }

    /// The number of records excluded by their ids so far.
    ///
    /// It is final once all records are read, or immediately if the order is shuffled.
    package var skipped: Int { get async { await reader.skipped } }

    /// Reads the whole input once to find invalid records; the records can still be read afterwards.
    ///
    /// Standard input is copied to a temporary file for that. Call this method before reading any records.
    ///
    /// - Parameter most: The maximum number of invalid items to keep; all invalid items are counted.
    package func checkStrictly(keeping most: Int = 20) async throws -> StrictReport {
        try await withTaskCancellationHandler {
            try await reader.check(keeping: most)
        } onCancel: {
            reader.waker.signal()
        }
    }

    /// Returns the items in publishing order, in chunks of at most 500 items and about 1 MiB.
    ///
    /// The items can be read again from the start, unless they come from standard input that was not kept. If the input
    /// has no records, reading the first chunk throws a ``SourceError`` with the code ``SourceError/Code/empty``.
    ///
    /// - Parameter position: The number of items to skip, for example after an interruption.
    public func chunks(from position: Int = 0) -> RecordChunks {
        RecordChunks(reader: reader, position: position)
    }
}

/// The items of a source in chunks; each chunk is read when the caller asks for it.
public struct RecordChunks: AsyncSequence, Sendable {
    /// One chunk.
    public typealias Element = [SourceItem]

    let reader: RecordReader
    let position: Int

    /// Starts reading.
    public func makeAsyncIterator() -> Iterator {
        Iterator(reader: reader, position: position)
    }

    /// An iterator that reads one chunk at a time.
    public struct Iterator: AsyncIteratorProtocol {
        let reader: RecordReader
        /// The number of items returned or skipped so far.
        package private(set) var position: Int

        init(reader: RecordReader, position: Int) {
            self.reader = reader
            self.position = position
        }

        /// Reads the next chunk, which is never empty; returns nil at the end.
        ///
        /// - Throws: ``SourceError`` if reading fails, and `CancellationError` if the task is cancelled, even while it
        ///   waits for standard input.
        public mutating func next() async throws -> [SourceItem]? {
            let start = position
            let reader = self.reader
            let chunk = try await withTaskCancellationHandler {
                try await reader.chunk(at: start)
            } onCancel: {
                reader.waker.signal()
            }
            position += chunk.count
            return chunk.isEmpty ? nil : chunk
        }
    }
}

/// One item of an input: a record, or the reason why there is no valid record.
public struct SourceItem: Sendable, Equatable {
    /// The content of an item.
    public enum Content: Sendable, Equatable {
        /// A record to publish.
        case record(Record)
        /// An invalid record; the message describes the error, and the item's place its position.
        case invalid(message: String)
    }

    /// The item's number among the selected items, from 0 in input order, regardless of the reading order.
    public var index: Int
    /// The position: `path:line`, or the path if the whole file is a record; the path `-` is standard input.
    public var place: String
    /// The content.
    public var content: Content

    /// Creates an item.
    public init(index: Int, place: String, content: Content) {
        self.index = index
        self.place = place
        self.content = content
    }
}

/// The result of checking a whole input.
package struct StrictReport: Sendable, Equatable {
    /// The number of records checked, including invalid ones.
    package private(set) var checked: Int
    /// The number of invalid records.
    package private(set) var invalid: Int
    /// The first invalid records, in input order.
    package private(set) var first: [SourceItem]

    /// Whether every record is valid.
    package var isValid: Bool { invalid == 0 }

    /// Creates a report.
    package init(checked: Int, invalid: Int, first: [SourceItem]) {
        self.checked = checked
        self.invalid = invalid
        self.first = first
    }

    /// Counts an item, and keeps it if it is one of the first invalid ones.
    mutating func add(_ item: SourceItem, keeping most: Int) {
        checked += 1
        guard case .invalid = item.content else { return }
        invalid += 1
        if first.count < most { first.append(item) }
    }
}
