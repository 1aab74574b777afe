/// Where a record stands.
struct RecordSpan: Sendable, Equatable {
    /// Why what stands there is no record, where that shows without decoding it.
    enum Defect: UInt8, Sendable {
        case tooLarge = 1
        case unterminatedQuote, brokenValue, unfinishedValue, missingElement, unfinishedArray, textAfterValue
        case neitherArrayNorObject
    }

    /// The number of the file.
    var file = 0
    /// The offset of the first byte in the file.
    var offset: Int
    /// How many bytes, without a line ending.
    var length: Int
    /// The number of the line it starts on, from 1.
    var line: Int
    /// What is wrong.
    var defect: Defect?

    var range: Range<Int> { offset..<offset + length }
}
