import SheafCore

/// Sizes that tests make small.
struct ReadingOptions: Sendable {
    /// How many bytes one read asks for.
    var readSize = 256 * 1024
    /// The largest record, in bytes.
    var recordLimit = Record.maximumSize
    /// The most items handed over at once.
    var itemsPerChunk = 500
    /// How many bytes of records end a chunk.
    var bytesPerChunk = 1 << 20
    /// How many files are kept open.
    var openFiles = 64
    /// Where `-` is read from.
    var standardInput: Int32 = 0
}
