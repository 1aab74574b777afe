/// The records of an input, read in constant memory, in order or shuffled.
///
/// Shuffled, opening walks once over the input and notes where each record stands in a temporary file; reading then
/// follows an order that is computed place by place. Otherwise records are read as they come, and nothing is read
/// beyond what is asked for.
public struct RecordSource: Sendable {
    private let reader: RecordReader
    /// Whether standard input is read.
    public let readsStandardInput: Bool

    /// How many records there will be, invalid ones included, or nil where that shows only at the end.
    public let count: Int?
    /// What tells later whether the input is still the same.
    public let fingerprint: InputFingerprint

    /// Opens an input and finds what is wrong with it as a whole.
    ///
    /// Standard input is read to its end here if the order is to be shuffled, and not touched otherwise. Records whose
    /// ids are in `excluded` are treated as if they were not in the input.
    ///
    /// - Throws: ``SourceError`` where the input can not be read, has a broken header or has no records, and
    ///   `CancellationError` where the task was cancelled.
    public static func open(
        _ configuration: SourceConfiguration,
        leavingOut excluded: RecordIDSet? = nil
    ) async throws -> RecordSource {
        try await open(configuration, leavingOut: excluded, options: ReadingOptions())
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

    /// How many records were left out by their ids so far; final once all was read, and at once where shuffled.
    public var skipped: Int { get async { await reader.skipped } }

    /// Reads everything once to find invalid records; the records can be read afterwards as if it had not been called.
    ///
    /// Standard input is kept in a temporary file for that, as far as records are taken from it; it has to be called
    /// before any is.
    ///
    /// - Parameter most: How many invalid items to keep; all are counted.
    public func checkStrictly(keeping most: Int = 20) async throws -> StrictReport {
        try await withTaskCancellationHandler {
            try await reader.check(keeping: most)
        } onCancel: {
            reader.waker.signal()
        }
    }

    /// The items in the order of publishing, in chunks of at most 500 items and about 1 MiB.
    ///
    /// It can be read again from the start, except where it comes from standard input that was not kept. Where there
    /// is no record at all, the first chunk is a ``SourceError`` with the code ``SourceError/Code/empty``.
    ///
    /// - Parameter position: How many items of the order to leave out, as after an interruption.
    public func chunks(from position: Int = 0) -> RecordChunks {
        RecordChunks(reader: reader, position: position)
    }
}
