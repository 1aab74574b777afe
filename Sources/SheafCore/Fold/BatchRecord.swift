/// What the journal says of one batch.
public struct BatchRecord: Sendable, Equatable {
    /// How the batch ended.
    public struct Ending: Sendable, Equatable {
        /// When.
        public var at: Timestamp
        /// The generation that ended.
        public var redo: Int
        /// Where in the results log outcomes stop to count.
        public var endOffset: Int64
        /// The final counts.
        public var counts: BatchCounts
        /// When the first task had begun.
        public var startedAt: Timestamp?
    }

    /// The batch.
    public let id: Name
    /// Its flow.
    public let flow: Name
    /// What was asked for.
    public let options: BatchOptions
    /// Where its records came from, for people.
    public let source: String
    /// Whose creation it is.
    public let nonce: String
    /// When it was created.
    public let createdAt: Timestamp
    /// How many tasks are confirmed.
    public internal(set) var published = 0
    /// The total, once all tasks are confirmed.
    public internal(set) var sealedTotal: Int?
    /// Why and when it was halted by its policy, if it is.
    public internal(set) var stopped: (reason: String, at: Timestamp)?
    /// How and when it was cancelled, if it was.
    public internal(set) var cancelled: (now: Bool, at: Timestamp)?
    /// Whether somebody has halted it for now.
    public internal(set) var isPaused = false
    /// How it ended, if it has.
    public internal(set) var ending: Ending?
    /// The generation of its tasks.
    public internal(set) var redo = 0

    /// Whether workers may start its tasks.
    public var isRunnable: Bool { stopped == nil && cancelled == nil && !isPaused && ending == nil }

    /// Compares all that the journal says.
    public static func == (left: BatchRecord, right: BatchRecord) -> Bool {
        left.id == right.id && left.flow == right.flow && left.options == right.options && left.source == right.source
            && left.nonce == right.nonce && left.createdAt == right.createdAt && left.published == right.published
            && left.sealedTotal == right.sealedTotal && left.stopped?.reason == right.stopped?.reason
            && left.stopped?.at == right.stopped?.at && left.cancelled?.now == right.cancelled?.now
            && left.cancelled?.at == right.cancelled?.at && left.isPaused == right.isPaused
            && left.ending == right.ending && left.redo == right.redo
    }

    /// Where the batch stands; `hasStarted` comes from its results, which the journal does not know.
    public func status(hasStarted: Bool) -> BatchStatus {
        if cancelled != nil { return .cancelled }
        if stopped != nil { return .failed }
        if ending != nil { return .completed }
        if isPaused { return .paused }
        return hasStarted ? .processing : .pending
    }

    mutating func apply(_ entry: JournalEntry) {
        guard ending == nil else { return }  // the first ending stands; a cancel that comes after it is too late
        switch entry.event {
        case .created: break  // the first creation stands
        case .published(let count): published = max(published, count)
        case .sealed(let total): sealedTotal = sealedTotal ?? total
        case .stopped(let reason): if stopped == nil, cancelled == nil { stopped = (reason, entry.at) }
        case .cancelled(let now):
            if cancelled == nil { cancelled = (now, entry.at) } else if now { cancelled?.now = true }
        case .paused: isPaused = true
        case .resumed:
            isPaused = false
            stopped = nil
        case .finished(let redo, let endOffset, let counts, let startedAt):
            guard redo == self.redo else { return }
            ending = Ending(at: entry.at, redo: redo, endOffset: endOffset, counts: counts, startedAt: startedAt)
        }
    }
}
