public import SheafCore

/// One place of an input: a record, or what is wrong there.
public struct SourceItem: Sendable, Equatable {
    /// What was found.
    public enum Content: Sendable, Equatable {
        /// A record to publish.
        case record(Record)
        /// Something that is no record; the message says what, the item's place says where.
        case invalid(message: String)
    }

    /// The number among the items that were selected, from 0 in the order of the input, whatever the order of reading.
    public var index: Int
    /// Where it stands: `path:line`, or the path of a file that is a record; `-` is standard input.
    public var place: String
    /// What was found.
    public var content: Content

    /// Makes an item.
    public init(index: Int, place: String, content: Content) {
        self.index = index
        self.place = place
        self.content = content
    }
}
