import HTTPTypes
import NIOCore
import NIOHTTP1
import NIOHTTPTypes

/// Ends connections whose clients are too slow: with the header of a request, with its body, or in reading a response.
///
/// A header that is too slow is answered with 408 here. A body that is too slow ends with ``RequestTooSlow`` in the
/// handler that reads it, which is answered with 408 too. The time in which the server itself does not read, because
/// its broker is slow, does not count.
final class RequestClock: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    /// What the connection waits for.
    private enum State {
        case request
        case header
        case body
        case closing
    }

    private let limits: ServerLimits
    private var state = State.request
    /// The requests whose response has not ended.
    private var open = 0
    /// The bytes of the body in this interval.
    private var received = 0
    /// The bytes of the body after the response has ended.
    private var surplus = 0
    private var isReading = false
    private var hasPaused = false
    private var lastRead = NIODeadline.uptimeNanoseconds(0)
    private var timer: Scheduled<Void>?
    private var writeTimer: Scheduled<Void>?
    private var context: ChannelHandlerContext?

    /// A server that takes longer than this to ask for the next bytes is slow itself.
    private static let pause = TimeAmount.milliseconds(100)
    /// How long the connection stays open after a refusal, so that the client can read it.
    private static let lingering = TimeAmount.seconds(1)

    init(_ limits: ServerLimits) {
        self.limits = limits
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        (try? context.pipeline.syncOperations.handler(type: ByteWatch.self))?.onBytes = { [weak self] in
            self?.bytesArrived()
        }
        schedule(limits.idleTime)
    }

    func handlerRemoved(context: ChannelHandlerContext) { end() }

    func channelInactive(context: ChannelHandlerContext) {
        end()
        context.fireChannelInactive()
    }

    private func end() {
        timer?.cancel()
        writeTimer?.cancel()
        timer = nil
        writeTimer = nil
        context = nil
    }

    // MARK: Requests

    private func bytesArrived() {
        guard state == .request else { return }
        state = .header
        schedule(limits.headerTime)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard state != .closing else { return }
        switch unwrapInboundIn(data) {
        case .head(let head):
            open += 1
            state = .body
            received = 0
            surplus = 0
            hasPaused = false
            schedule(limits.bodyInterval)
            if head.headerFields[.expect]?.lowercased() == "100-continue" {
                context.writeAndFlush(wrapOutboundOut(.head(HTTPResponse(status: .continue))), promise: nil)
            }
        case .body(let bytes):
            received += bytes.readableBytes
            if open == 0 {
                surplus += bytes.readableBytes
                if surplus > limits.surplusBytes { return close(context) }
            }
        case .end:
            state = .request
            schedule(limits.idleTime)
        }
        context.fireChannelRead(data)
    }

    func read(context: ChannelHandlerContext) {
        if !isReading, NIODeadline.now() - lastRead > Self.pause { hasPaused = true }
        isReading = true
        context.read()
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        isReading = false
        lastRead = .now()
        context.fireChannelReadComplete()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard state != .closing else { return }
        guard open == 0, let error = error as? HTTPParserError else { return context.fireErrorCaught(error) }
        if error == .headerOverflow {
            refuse(context, .requestHeaderFieldsTooLarge, "the header is larger than \(limits.headerBytes) bytes")
        } else {
            refuse(context, .badRequest, "the request is not valid HTTP/1.1")
        }
    }

    // MARK: Responses

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if case .end = unwrapOutboundIn(data) {
            open -= 1
            if open == 0, state == .request { schedule(limits.idleTime) }
            if state == .closing { schedule(Self.lingering) }
        }
        context.write(data, promise: promise)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        writeTimer?.cancel()
        writeTimer = nil
        if !context.channel.isWritable {
            writeTimer = context.eventLoop.assumeIsolated().scheduleTask(in: limits.writeTime) { [weak self] in
                if let self, let context = self.context { self.close(context) }
            }
        }
        context.fireChannelWritabilityChanged()
    }

    // MARK: Time

    private func schedule(_ time: TimeAmount) {
        timer?.cancel()
        timer = context?.eventLoop.assumeIsolated().scheduleTask(in: time) { [weak self] in self?.timeIsOver() }
    }

    private func timeIsOver() {
        guard let context else { return }
        switch state {
        case .request:
            if open == 0 { close(context) }
        case .header:
            // A response to an earlier request must not be mixed with this one.
            if open > 0 { return close(context) }
            refuse(context, .requestTimeout, "the header of the request did not arrive in time")
        case .body:
            guard isReading, !hasPaused, received < limits.bodyBytes else {
                received = 0
                hasPaused = false
                return schedule(limits.bodyInterval)
            }
            if open == 0 { return close(context) }
            state = .closing
            context.fireErrorCaught(RequestTooSlow(description: "the body of the request arrives too slowly"))
        case .closing: close(context)
        }
    }

    /// Answers with a problem and closes.
    private func refuse(_ context: ChannelHandlerContext, _ status: HTTPResponse.Status, _ detail: String) {
        let text = """
            {"type":"about:blank","title":"\(status.reasonPhrase)","status":\(status.code),"detail":"\(detail)"}

            """
        var head = HTTPResponse(status: status)
        head.headerFields[.contentType] = "application/problem+json"
        head.headerFields[.contentLength] = String(text.utf8.count)
        head.headerFields[.connection] = "close"
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.write(wrapOutboundOut(.body(ByteBuffer(string: text))), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        state = .closing
        context.close(mode: .output, promise: nil)
        schedule(Self.lingering)
    }

    private func close(_ context: ChannelHandlerContext) {
        state = .closing
        context.close(promise: nil)
    }
}

@available(*, unavailable)
extension RequestClock: Sendable {}

/// Notices the bytes of a connection before they are a request.
final class ByteWatch: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    var onBytes: (() -> Void)?

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        onBytes?()
        context.fireChannelRead(data)
    }
}

@available(*, unavailable)
extension ByteWatch: Sendable {}
