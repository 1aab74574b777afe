public import SheafCore

/// A batch that is gone; its name is not used again.
public struct DeletedBatch: Sendable, Equatable {
    /// The batch.
    public var id: Name
    /// Whether it had been deleted before, so that only what that had left was removed.
    public var wasDeleted: Bool

    /// Makes a deleted batch.
    public init(id: Name, wasDeleted: Bool) {
        self.id = id
        self.wasDeleted = wasDeleted
    }
}
