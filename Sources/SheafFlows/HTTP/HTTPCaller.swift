import AsyncHTTPClient
import Dispatch
import Glibc
import NIOCore
import NIOHTTP1
import NIOPosix
import SheafCore
import Synchronization

/// Sends requests for a flow, and keeps its connections.
final class HTTPCaller: Sendable {
    /// The limits of requests.
    struct Rules: Sendable {
        /// The most bytes of a response's body.
        var maximumBody: Int
        /// How many redirects are followed.
        var redirects = 0
        /// Whether hosts that the flow's owner did not name may have private addresses.
        var allowsPrivateAddresses = false
    }

    private static let connectTimeout = TimeAmount.seconds(10)

    private let rules: Rules
    private let client = Mutex<HTTPClient?>(nil)

    init(_ rules: Rules) { self.rules = rules }

    /// Sends a request and follows redirects.
    ///
    /// - Parameters:
    ///   - call: The request.
    ///   - isTrusted: Whether the flow's owner named the host; other hosts must not have a private address.
    /// - Throws: ``FlowError``: `connection`, which may be retried, `private-address`, `redirects` and
    ///   `output-too-large`.
    func send(_ call: HTTPCall, isTrusted: Bool) async throws -> HTTPAnswer {
        var call = call
        let first = call.url
        for _ in 0...max(0, rules.redirects) {
            let mayBePrivate = rules.allowsPrivateAddresses || isTrusted && call.url.hasSameOrigin(as: first)
            let answer = try await once(call, mayBePrivate: mayBePrivate)
            guard rules.redirects > 0, [301, 302, 303, 307, 308].contains(answer.status),
                let location = answer.header("location")
            else { return answer }
            guard let target = HTTPAddress(location, relativeTo: call.url) else {
                throw FlowError(
                    type: FlowError.redirectsType,
                    message: "\(call.description) was redirected to an invalid URL"
                )
            }
            call = call.redirected(to: target, status: answer.status)
        }
        throw FlowError(
            type: FlowError.redirectsType,
            message: "\(first) was redirected more than \(rules.redirects) times, finally to \(call.url)"
        )
    }

    /// Sends a request whose body is streamed, to a host that the flow's owner named; follows no redirect.
    func send(_ call: HTTPCall, _ upload: StreamedBody) async throws -> HTTPAnswer {
        let body = HTTPClientRequest.Body.stream(upload, length: .known(Int64(upload.count)))
        return try await send(call, body: body, through: shared()) { try await self.body(of: $0, to: call) }
    }

    /// Gets a body of any size.
    ///
    /// Redirects are followed. A request to another scheme, host or port has no header that may authenticate it, and
    /// another host must not have a private address.
    ///
    /// - Parameters:
    ///   - call: The request.
    ///   - named: The host that the flow's owner named.
    ///   - redirects: The most redirects that are followed.
    ///   - receive: Is given the body of a success, piece by piece; returns false if it needs no more.
    /// - Returns: The answer; its body is empty if it was a success.
    func download(
        _ call: HTTPCall,
        named: HTTPAddress,
        redirects: Int,
        _ receive: (ByteBuffer) async throws -> Bool
    ) async throws -> HTTPAnswer {
        var call = call
        let first = call.url
        for _ in 0...redirects {
            let current = call
            let client: HTTPClient
            if current.url.host == named.host {
                client = shared()
            } else {
                let address = try await publicAddress(of: current.url)
                client = Self.client(addresses: [current.url.host: address.text])
            }
            let answer: HTTPAnswer
            do {
                answer = try await send(current, body: nil, through: client) { response in
                    guard (200..<300).contains(response.status.code) else {
                        return try await self.body(of: response, to: current)
                    }
                    for try await chunk in response.body { guard try await receive(chunk) else { break } }
                    return []
                }
            } catch {
                if current.url.host != named.host { try? await client.shutdown() }
                throw error
            }
            if current.url.host != named.host { try? await client.shutdown() }
            guard [301, 302, 303, 307, 308].contains(answer.status), let location = answer.header("location"),
                let target = HTTPAddress(location, relativeTo: current.url)
            else { return answer }
            call = current.redirected(to: target, status: answer.status)
        }
        throw FlowError(
            type: FlowError.redirectsType,
            message: "\(first) was redirected more than \(redirects) times, finally to \(call.url)"
        )
    }

    /// Closes the connections.
    func shutDown() async {
        let client = client.withLock { client in
            defer { client = nil }
            return client
        }
        try? await client?.shutdown()
    }

    deinit {
        // The client treats it as a programming error if it is released without this.
        client.withLock { $0 }?.shutdown { _ in }
    }

    private func once(_ call: HTTPCall, mayBePrivate: Bool) async throws -> HTTPAnswer {
        if mayBePrivate { return try await send(call, through: shared()) }
        let address = try await publicAddress(of: call.url)
        // A client of its own for the one address that was checked: a second look-up might return another address.
        let client = Self.client(addresses: [call.url.host: address.text])
        do {
            let answer = try await send(call, through: client)
            try? await client.shutdown()
            return answer
        } catch {
            try? await client.shutdown()
            throw error
        }
    }

    private func send(_ call: HTTPCall, through client: HTTPClient) async throws -> HTTPAnswer {
        try await send(call, body: call.body.map { .bytes(ByteBuffer(bytes: $0)) }, through: client) { response in
            try await self.body(of: response, to: call)
        }
    }

    /// Sends a request, and reads the body of the response in the given way.
    private func send(
        _ call: HTTPCall,
        body: HTTPClientRequest.Body?,
        through client: HTTPClient,
        _ read: (HTTPClientResponse) async throws -> [UInt8]
    ) async throws -> HTTPAnswer {
        var request = HTTPClientRequest(url: call.url.text)
        request.method = HTTPMethod(rawValue: call.method)
        for (name, value) in call.headers { request.headers.add(name: name, value: value) }
        request.body = body
        do {
            let response = try await client.execute(request, deadline: .distantFuture)
            return HTTPAnswer(
                status: Int(response.status.code),
                headers: response.headers.map { ($0.name, $0.value) },
                body: try await read(response)
            )
        } catch let error as FlowError {
            throw error
        } catch {
            try Task.checkCancellation()
            var failure = FlowError(
                type: FlowError.connectionType,
                message: "\(call.description): \(Self.explain(error))",
                isRetryable: true
            )
            failure.isUnsent = Self.isWithoutConnection(error)
            throw failure
        }
    }

    private func body(of response: HTTPClientResponse, to call: HTTPCall) async throws -> [UInt8] {
        var body: [UInt8] = []
        for try await chunk in response.body {
            guard body.count + chunk.readableBytes <= rules.maximumBody else {
                throw FlowError(
                    type: FlowError.outputTooLargeType,
                    message:
                        "\(call.description) answered with more than \(rules.maximumBody) bytes; max_output sets the limit"
                )
            }
            body.append(contentsOf: chunk.readableBytesView)
        }
        return body
    }

    private func publicAddress(of url: HTTPAddress) async throws -> NetworkAddress {
        let addresses = await withCheckedContinuation { continuation in
            DispatchQueue.global().async { continuation.resume(returning: NetworkAddress.find(url.host)) }
        }
        if let address = addresses.first(where: \.isPrivate) {
            throw FlowError(
                type: FlowError.privateAddressType,
                message: """
                    \(url) resolves to \(address.text), which is an address of this machine or of a private network; \
                    set 'private_addresses: true' to allow that
                    """
            )
        }
        guard let address = addresses.first else {
            throw FlowError(
                type: FlowError.connectionType,
                message: "\(url): the host '\(url.host)' does not exist",
                isRetryable: true
            )
        }
        return address
    }

    /// Returns the client for hosts that may have any address, made when it is first needed.
    private func shared() -> HTTPClient {
        client.withLock { client in
            if let client { return client }
            let made = Self.client()
            client = made
            return made
        }
    }

    private static func client(addresses: [String: String] = [:]) -> HTTPClient {
        var configuration = HTTPClient.Configuration(redirectConfiguration: .disallow)
        configuration.timeout.connect = connectTimeout
        // Retries are left to the flow's retry rule; here they would only occupy a slot.
        configuration.connectionPool.retryConnectionEstablishment = false
        // High enough for all tasks that run at once, whose number is limited elsewhere.
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 1_024
        configuration.dnsOverride = addresses
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }

    /// Whether an error means that there was no connection, so that nothing can have been sent.
    private static func isWithoutConnection(_ error: any Error) -> Bool {
        switch error {
        case is NIOConnectionError: true
        case let error as IOError: [ECONNREFUSED, EHOSTUNREACH, ENETUNREACH].contains(error.errnoCode)
        case let error as HTTPClientError: error == .connectTimeout
        default: false
        }
    }

    private static func explain(_ error: any Error) -> String {
        switch error {
        case let error as NIOConnectionError:
            let reason = error.connectionErrors.first.map { explain($0.error) }
            return "no connection to \(error.host): \(reason ?? "the host does not exist")"
        case let error as IOError: return String(cString: strerror(error.errnoCode))
        case let error as HTTPClientError where error == .connectTimeout: return "no connection within 10 s"
        case let error as HTTPClientError where error == .remoteConnectionClosed:
            return "the server closed the connection before it had answered"
        default:
            let text = String(describing: error)
            return text.count > 300 ? "\(text.prefix(300))…" : text
        }
    }
}
