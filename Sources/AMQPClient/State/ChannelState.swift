import Synchronization

/// The state of a channel within its connection.
final class ChannelState {
    enum Phase {
        case opening
        case open
        /// `channel.close` was queued and its answer is awaited; everything else that arrives is ignored.
        case closing
    }

    let number: UInt16
    let id: UInt64
    var phase = Phase.opening
    var assembler = FrameAssembler()
    var confirms = ConfirmTracker<PublishCall>()
    var confirmsAreEnabled = false
    var prefetchIsSet = false
    var unsettled = UnsettledTags()
    /// Claimed tags whose acknowledgements are not queued yet.
    var acknowledgements: [UInt64] = []
    /// Whether some of them were added since the loop last checked them.
    var hasNewAcknowledgements = false
    /// The time until which acknowledgements above a gap wait for the gap to close.
    var acknowledgeBy: ContinuousClock.Instant?
    var calls = FIFO<PendingCall>()
    private(set) var consumers: [String: ConsumerState] = [:]
    private var lastConsumer: ConsumerState?

    init(number: UInt16, id: UInt64) {
        self.number = number
        self.id = id
    }

    /// Returns the consumer with a tag; repeated lookups of the same tag are fast.
    func consumer(_ tag: String) -> ConsumerState? {
        if let last = lastConsumer, last.tag == tag { return last }
        lastConsumer = consumers[tag]
        return lastConsumer
    }

    func add(_ consumer: ConsumerState) { consumers[consumer.tag] = consumer }

    @discardableResult
    func removeConsumer(_ tag: String) -> ConsumerState? {
        lastConsumer = nil
        return consumers.removeValue(forKey: tag)
    }

    /// The deadline of the first call whose caller still waits.
    var nextDeadline: ContinuousClock.Instant? { calls.first { $0.continuation != nil }?.deadline }

    /// Whether the next answer must be `basic.cancel-ok`.
    var awaitsCancelOk: Bool {
        if case .cancel? = calls.first?.method { true } else { false }
    }

    /// Removes and returns the call that a reply answers.
    func takeCall(answeredBy reply: Reply) throws(AMQPError) -> PendingCall {
        let call = calls.popFirst()
        guard let call, call.method.isAnswered(by: reply) else {
            // Only the names: the arguments may contain confidential data.
            let answer = String(describing: reply).prefix { $0 != "(" }
            let question = call.map { String(describing: $0.method).prefix { $0 != "(" } } ?? "no call"
            throw AMQPError(
                .protocolViolation,
                "the broker sent \(answer) in answer to \(question) on channel \(number)"
            )
        }
        return call
    }

    /// Fails all calls and consumers of the channel, except `publish` calls, which the connection fails.
    func fail(_ error: AMQPError) {
        for var call in calls.drain() {
            // The caller asked for the channel to be closed, and now it is closed for whatever reason.
            if case .channelClose = call.method {
                call.resume(with: .success(.channelCloseOk))
            } else {
                call.resume(with: .failure(error))
            }
        }
        for consumer in consumers.values { consumer.fail(error) }
        consumers = [:]
        lastConsumer = nil
    }
}

/// The channels of a connection by number, and the reasons why recent channels were closed.
struct ChannelTable {
    private static let rememberedReasons = 256

    private var channels: [ChannelState?] = [nil]
    private var reasons: [UInt64: AMQPError] = [:]
    private var reasonOrder = FIFO<UInt64>()
    private let identities = IdentitySource.channels

    /// All existing channels.
    var all: [ChannelState] { channels.compactMap(\.self) }

    /// Returns the channel with a number, or nil if it does not exist.
    subscript(number: UInt16) -> ChannelState? {
        Int(number) < channels.count ? channels[Int(number)] : nil
    }

    /// Makes a channel with the lowest free number, since the library keeps memory for every number ever used.
    mutating func add(limit: UInt16) throws(AMQPError) -> ChannelState {
        let number = channels.dropFirst().firstIndex { $0 == nil } ?? channels.count
        guard number <= Int(limit) else {
            throw AMQPError(.invalidArgument, "the connection already has \(limit) channels, the maximum")
        }
        let channel = ChannelState(number: UInt16(number), id: identities.next())
        if number == channels.count { channels.append(channel) } else { channels[number] = channel }
        return channel
    }

    /// Removes a channel and frees its number.
    mutating func remove(_ channel: ChannelState) { channels[Int(channel.number)] = nil }

    /// Remembers why a channel was closed, for callers that still use it.
    mutating func remember(_ error: AMQPError, for id: UInt64) {
        guard reasons[id] == nil else { return }
        reasons[id] = error
        reasonOrder.append(id)
        if reasonOrder.count > Self.rememberedReasons, let oldest = reasonOrder.popFirst() {
            reasons[oldest] = nil
        }
    }

    /// Returns why a channel that no longer exists was closed.
    func reason(for id: UInt64) -> AMQPError {
        reasons[id] ?? AMQPError(.channelClosed, "the channel is closed")
    }
}

/// Generates numbers that are unique in the process.
final class IdentitySource: Sendable {
    static let connections = IdentitySource()
    static let channels = IdentitySource()

    private let last = Atomic<UInt64>(0)

    func next() -> UInt64 { last.add(1, ordering: .relaxed).newValue }
}
