/// One call of `publish` on its way: which of its messages are sent, which confirmed, and who waits for it.
final class PublishCall {
    /// The outcome of one message.
    enum Outcome {
        case confirmed
        case nacked
    }

    let id: UInt64
    let channel: ChannelState
    let isMandatory: Bool
    let deadline: ContinuousClock.Instant
    private(set) var messages: [AMQPMessage]
    /// The index of the next message to send.
    private(set) var nextIndex = 0
    private let count: Int
    private var firstTag: UInt64 = 0
    private var settled = 0
    private var nacked: [Int] = []
    private var returned: [Int] = []
    private var returnReason = ""
    private var continuation: CheckedContinuation<Result<Void, AMQPError>, Never>?

    init(
        id: UInt64,
        channel: ChannelState,
        messages: [AMQPMessage],
        isMandatory: Bool,
        deadline: ContinuousClock.Instant,
        continuation: CheckedContinuation<Result<Void, AMQPError>, Never>?
    ) {
        self.id = id
        self.channel = channel
        self.messages = messages
        self.count = messages.count
        self.isMandatory = isMandatory
        self.deadline = deadline
        self.continuation = continuation
    }

    /// Whether nobody waits for it any more.
    var isDone: Bool { self.continuation == nil }

    /// Whether messages of it were sent and not confirmed.
    var hasUnconfirmed: Bool { self.settled < self.nextIndex }

    /// Whether a message is left to send that still matters.
    var hasNext: Bool { !self.isDone && self.nextIndex < self.count }

    /// The next message to send, if it still matters.
    var next: AMQPMessage? { self.hasNext ? self.messages[self.nextIndex] : nil }

    /// Notes that the next message was given a sequence number.
    func sent(as tag: UInt64) {
        if self.nextIndex == 0 { self.firstTag = tag }
        self.nextIndex += 1
    }

    /// Whether a returned message can be the one sent with a sequence number.
    func matches(_ tag: UInt64, _ returned: ReturnedMessage, _ properties: AMQPProperties, _ body: [UInt8]) -> Bool {
        guard self.isMandatory else { return false }
        let message = self.messages[Int(tag - self.firstTag)]
        guard message.exchange == returned.exchange, message.routingKey == returned.routingKey,
            message.properties.messageID == properties.messageID
        else { return false }
        return properties.messageID != nil || message.body == body
    }

    /// Notes that no queue took a message; its confirm is still to come.
    func returned(_ tag: UInt64, _ reason: ReturnedMessage) {
        self.returned.append(Int(tag - self.firstTag))
        self.returnReason = "\(reason.replyText) for \"\(reason.exchange)\", \"\(reason.routingKey)\""
    }

    /// Notes the outcome of a message, and resumes who waits after the last.
    func settle(_ tag: UInt64, _ outcome: Outcome) {
        self.settled += 1
        if outcome == .nacked { self.nacked.append(Int(tag - self.firstTag)) }
        if self.settled == self.count { self.finish(self.result) }
    }

    /// Resumes who waits.
    func finish(_ result: Result<Void, AMQPError>) {
        guard let continuation = self.continuation.take() else { return }
        // A return can still come for those that were sent, and is matched by what they were.
        if !(self.isMandatory && self.hasUnconfirmed) { self.messages = [] }
        continuation.resume(returning: result)
    }

    private var result: Result<Void, AMQPError> {
        let failed = (self.returned + self.nacked).sorted()
        if let first = self.returned.first {
            let what = "\(self.returned.count) of \(self.count) messages were returned, the first at index \(first)"
            return .failure(
                AMQPError(.returned, "\(what): \(self.returnReason)", replyCode: 312, failedMessages: failed)
            )
        }
        if let first = self.nacked.first {
            let what = "the broker refused \(self.nacked.count) of \(self.count) messages, the first at index \(first)"
            return .failure(AMQPError(.nacked, what, failedMessages: failed))
        }
        return .success(())
    }
}
