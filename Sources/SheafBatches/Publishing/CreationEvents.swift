public import SheafCore

/// What is told while a batch is being created.
public struct CreationEvents: Sendable {
    /// The batch exists, or is gone on with.
    public var onCreated: @Sendable (Name) -> Void
    /// So many of its tasks are confirmed.
    public var onConfirmed: @Sendable (Int) -> Void
    /// Publishing waits for the broker; nil when it goes on.
    public var onStall: @Sendable (PublishingStall?) -> Void

    /// Listens to some of it.
    public init(
        onCreated: @escaping @Sendable (Name) -> Void = { _ in },
        onConfirmed: @escaping @Sendable (Int) -> Void = { _ in },
        onStall: @escaping @Sendable (PublishingStall?) -> Void = { _ in }
    ) {
        self.onCreated = onCreated
        self.onConfirmed = onConfirmed
        self.onStall = onStall
    }
}
