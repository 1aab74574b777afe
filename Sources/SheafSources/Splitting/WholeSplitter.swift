/// Takes a whole file as one record.
struct WholeSplitter: RecordSplitter {
    private let size: Int?
    private var isDone = false

    /// Without a size, that of a stream, the end has to be looked for.
    init(size: Int?) { self.size = size }

    mutating func next(in window: ByteWindow) throws -> RecordSpan? {
        if isDone { return nil }
        var length = size ?? 0
        if size == nil {
            repeat { length += window.bytes(from: length).count } while try window.more(from: 0, scanned: length)
        }
        isDone = true
        // Nothing on a stream is no record; an empty file is one.
        if size == nil, length == 0 { return nil }
        let defect: RecordSpan.Defect? = length > window.recordLimit ? .tooLarge : nil
        return RecordSpan(offset: 0, length: length, line: 0, defect: defect)
    }
}
