/// A channel as its connection sees it.
final class ChannelState {
    enum Phase {
        case opening
        case open
        /// We said goodbye and wait for the answer; everything else that arrives is for nobody.
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
    /// Tags to acknowledge when the loop comes to write.
    var acknowledgements: [UInt64] = []
    /// Whether some of them were added since the loop looked at them.
    var hasNewAcknowledgements = false
    /// Until when those above a gap wait for the gap to close.
    var acknowledgeBy: ContinuousClock.Instant?
    var calls = FIFO<PendingCall>()
    private(set) var consumers: [String: ConsumerState] = [:]
    private var lastConsumer: ConsumerState?

    init(number: UInt16, id: UInt64) {
        self.number = number
        self.id = id
    }

    /// The consumer with a tag; quick for the same tag again.
    func consumer(_ tag: String) -> ConsumerState? {
        if let last = self.lastConsumer, last.tag == tag { return last }
        self.lastConsumer = self.consumers[tag]
        return self.lastConsumer
    }

    func add(_ consumer: ConsumerState) { self.consumers[consumer.tag] = consumer }

    @discardableResult
    func removeConsumer(_ tag: String) -> ConsumerState? {
        self.lastConsumer = nil
        return self.consumers.removeValue(forKey: tag)
    }

    /// When the first call that somebody still waits for must be answered.
    var nextDeadline: ContinuousClock.Instant? { self.calls.first { $0.continuation != nil }?.deadline }

    /// Whether the next answer is to be that of a cancelled consumer.
    var awaitsCancelOk: Bool {
        if case .cancel? = self.calls.first?.method { true } else { false }
    }

    /// Takes the call that a reply answers.
    func takeCall(answeredBy reply: Reply) throws(AMQPError) -> PendingCall {
        let call = self.calls.popFirst()
        guard let call, call.method.isAnswered(by: reply) else {
            // The names alone: what follows them may be somebody's data.
            let answer = String(describing: reply).prefix { $0 != "(" }
            let question = call.map { String(describing: $0.method).prefix { $0 != "(" } } ?? "no call"
            throw AMQPError(
                .protocolViolation,
                "the broker sent \(answer) in answer to \(question) on channel \(self.number)"
            )
        }
        return call
    }

    /// Fails everything that waits on the channel; publishing calls are failed by their own list.
    func fail(_ error: AMQPError) {
        for var call in self.calls.drain() {
            // The answer to our goodbye is that the channel is gone, however that came about.
            if case .channelClose = call.method {
                call.resume(with: .success(.channelCloseOk))
            } else {
                call.resume(with: .failure(error))
            }
        }
        for consumer in self.consumers.values { consumer.fail(error) }
        self.consumers = [:]
        self.lastConsumer = nil
    }
}
