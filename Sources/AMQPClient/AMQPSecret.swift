/// A text that never shows itself: neither in descriptions, nor in dumps, nor in interpolations.
public struct AMQPSecret: Sendable, Hashable {
    private let text: String

    /// Hides a text.
    public init(_ text: String) { self.text = text }

    /// Gives the text away.
    public func reveal() -> String { self.text }
}

extension AMQPSecret: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// A few dots.
    public var description: String { "•••" }

    /// A few dots.
    public var debugDescription: String { "•••" }

    /// A mirror without children.
    public var customMirror: Mirror { Mirror(self, children: []) }
}
