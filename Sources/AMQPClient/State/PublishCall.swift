/// A call of `publish` in progress: its sent and confirmed messages, and the waiting caller.
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

    /// Whether its caller no longer waits.
    var isDone: Bool { continuation == nil }

    /// Whether some of its messages were sent and are not confirmed.
    var hasUnconfirmed: Bool { settled < nextIndex }

    /// Whether the caller waits and a message is left to send.
    var hasNext: Bool { !isDone && nextIndex < count }

    /// The next message to send, or nil if there is none or the caller no longer waits.
    var next: AMQPMessage? { hasNext ? messages[nextIndex] : nil }

    /// Records that the next message was assigned a sequence number.
    func sent(as tag: UInt64) {
        if nextIndex == 0 { firstTag = tag }
        nextIndex += 1
    }

    /// Whether a returned message can be the one sent with a sequence number.
    func matches(_ tag: UInt64, _ returned: ReturnedMessage, _ properties: AMQPProperties, _ body: [UInt8]) -> Bool {
        guard isMandatory else { return false }
        let message = messages[Int(tag - firstTag)]
        guard message.exchange == returned.exchange, message.routingKey == returned.routingKey,
            message.properties.messageID == properties.messageID
        else { return false }
        return properties.messageID != nil || message.body == body
    }

    /// Records that a message was returned; its confirm follows later.
    func returned(_ tag: UInt64, _ reason: ReturnedMessage) {
        self.returned.append(Int(tag - firstTag))
        returnReason = "\(reason.replyText) for \"\(reason.exchange)\", \"\(reason.routingKey)\""
    }

    /// Records the outcome of a message, and resumes the caller after the last one.
    func settle(_ tag: UInt64, _ outcome: Outcome) {
        settled += 1
        if outcome == .nacked { nacked.append(Int(tag - firstTag)) }
        if settled == count { finish(result) }
    }

    /// Resumes the caller.
    func finish(_ result: Result<Void, AMQPError>) {
        guard let continuation = self.continuation.take() else { return }
        // Sent messages can still be returned, and a return is matched by comparing it with them.
        if !(isMandatory && hasUnconfirmed) { messages = [] }
        continuation.resume(returning: result)
    }

    private var result: Result<Void, AMQPError> {
        let failed = (returned + nacked).sorted()
        if let first = returned.first {
            let what = "\(returned.count) of \(count) messages were returned, the first at index \(first)"
            return .failure(
                AMQPError(.returned, "\(what): \(returnReason)", replyCode: 312, failedMessages: failed)
            )
        }
        if let first = nacked.first {
            let what = "the broker refused \(nacked.count) of \(count) messages, the first at index \(first)"
            return .failure(AMQPError(.nacked, what, failedMessages: failed))
        }
        return .success(())
    }
}
