import SheafCore

/// Keeps account of what is confirmed, as confirmations come, and tells the journal.
actor PublishingLedger {
    /// How often the journal is told, in tasks.
    static let journalEvery = 10_000
    /// The same in time, for sources that are slow.
    private static let journalInterval = Duration.seconds(2)

    private var position: ConfirmedPosition
    /// How far the journal is known to say.
    private var journalled: Int
    private var isTelling = false
    private let onConfirmed: @Sendable (Int) -> Void
    private let tell: @Sendable (Int, String?) async throws -> Void

    /// - Parameter tell: Puts a number of confirmed tasks, and the digest of their records, into the journal.
    init(
        startingAt start: Int,
        onConfirmed: @escaping @Sendable (Int) -> Void,
        tell: @escaping @Sendable (Int, String?) async throws -> Void
    ) {
        position = ConfirmedPosition(startingAt: start)
        journalled = start
        self.onConfirmed = onConfirmed
        self.tell = tell
    }

    /// The tasks confirmed without a gap.
    var confirmed: Int { position.confirmed }

    /// Waits while so much is published that the journal does not speak of that it has to catch up first.
    ///
    /// It bounds what is published twice after a crash.
    func waitForJournal() async throws {
        let limit = Self.journalEvery + BatchPublisher.window * (BatchPublisher.windowsInFlight - 1)
        while position.opened - journalled > limit { try await Task.sleep(for: .milliseconds(2)) }
    }

    func open(count: Int, digest: String?) -> ConfirmedPosition.Window {
        position.open(count: count, digest: digest)
    }

    func close(_ window: ConfirmedPosition.Window) async throws {
        let before = position.confirmed
        position.close(window)
        if position.confirmed > before { onConfirmed(position.confirmed) }
        try await tellIfDue()
    }

    /// Tells the journal where enough was confirmed, or enough time has passed, since it was told last.
    func tellIfDue() async throws {
        if isTelling { return }
        isTelling = true
        defer { isTelling = false }
        while position.isNews(after: Self.journalEvery, or: Self.journalInterval) {
            let (confirmed, digest) = (position.confirmed, position.digest)
            try await tell(confirmed, digest)
            journalled = confirmed
        }
    }
}
