import SheafCore

/// Tracks which tasks are confirmed, and writes the position to the journal.
actor PublishingLedger {
    /// After how many tasks the position is written.
    static let journalEvery = 10_000
    /// After what time the position is written, for slow sources.
    private static let journalInterval = Duration.seconds(2)

    private var position: ConfirmedPosition
    /// The position that the journal has.
    private var journalled: Int
    private var isWriting = false
    private let onConfirmed: @Sendable (Int) -> Void
    private let journal: @Sendable (Int, String?, Int) async throws -> Void

    /// - Parameter journal: Writes a number of confirmed tasks, the digest of their records and how many of them are
    ///   twins to the journal.
    init(
        startingAt start: Int,
        onConfirmed: @escaping @Sendable (Int) -> Void,
        journal: @escaping @Sendable (Int, String?, Int) async throws -> Void
    ) {
        position = ConfirmedPosition(startingAt: start)
        journalled = start
        self.onConfirmed = onConfirmed
        self.journal = journal
    }

    /// How many tasks are confirmed without a gap.
    var confirmed: Int { position.confirmed }

    /// Waits if too many tasks are published that the journal does not have yet.
    ///
    /// This bounds how many tasks are published twice after a crash.
    func waitForJournal() async throws {
        let limit = Self.journalEvery + BatchPublisher.window * (BatchPublisher.windowsInFlight - 1)
        while position.opened - journalled > limit { try await Task.sleep(for: .milliseconds(2)) }
    }

    func open(count: Int, digest: String?, twins: Int) -> ConfirmedPosition.Window {
        position.open(count: count, digest: digest, twins: twins)
    }

    func close(_ window: ConfirmedPosition.Window) async throws {
        let before = position.confirmed
        position.close(window)
        if position.confirmed > before { onConfirmed(position.confirmed) }
        try await writeIfDue()
    }

    /// Writes the position if enough tasks were confirmed, or enough time has passed, since the last time.
    func writeIfDue() async throws {
        if isWriting { return }
        isWriting = true
        defer { isWriting = false }
        while position.isNews(after: Self.journalEvery, or: Self.journalInterval) {
            let (confirmed, digest, twins) = (position.confirmed, position.digest, position.twins)
            try await journal(confirmed, digest, twins)
            journalled = confirmed
        }
    }
}

/// How many tasks are confirmed without a gap, while windows are confirmed in any order.
struct ConfirmedPosition {
    /// Consecutive tasks that are confirmed together.
    struct Window: Hashable, Sendable {
        let start: Int
        let count: Int
        /// The digest of all records up to its end, if a digest is kept.
        var digest: String?
        /// How many tasks up to its end are twins.
        var twins = 0
    }

    /// How many tasks are confirmed without a gap.
    private(set) var confirmed: Int
    /// The digest of their records, if a digest is kept.
    private(set) var digest: String?
    /// How many of them are twins.
    private(set) var twins = 0
    /// How many tasks were sent.
    private(set) var opened: Int
    private var closed: [Int: Window] = [:]
    private var reported: Int
    private var reportedAt: ContinuousClock.Instant?

    /// Starts after tasks that were confirmed before.
    init(startingAt position: Int = 0) { (confirmed, opened, reported) = (position, position, position) }

    mutating func open(count: Int, digest: String? = nil, twins: Int = 0) -> Window {
        defer { opened += count }
        return Window(start: opened, count: count, digest: digest, twins: twins)
    }

    mutating func close(_ window: Window) {
        closed[window.start] = window
        while let next = closed.removeValue(forKey: confirmed), next.count > 0 {
            confirmed += next.count
            (digest, twins) = (next.digest, next.twins)
        }
    }

    /// Whether the position should be recorded: the first one, and then after the given number of tasks or time.
    mutating func isNews(after count: Int, or interval: Duration, now: ContinuousClock.Instant = .now) -> Bool {
        guard confirmed > reported else { return false }
        if let reportedAt, confirmed - reported < count, now - reportedAt < interval { return false }
        (reported, reportedAt) = (confirmed, now)
        return true
    }
}
