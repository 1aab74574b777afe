import Synchronization

/// Numbers that are never given twice in a process.
final class IdentitySource: Sendable {
    static let connections = IdentitySource()
    static let channels = IdentitySource()

    private let last = Atomic<UInt64>(0)

    func next() -> UInt64 { self.last.add(1, ordering: .relaxed).newValue }
}
