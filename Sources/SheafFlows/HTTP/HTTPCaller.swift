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
    /// What is allowed.
    struct Rules: Sendable {
        /// The most bytes of a response's body.
        var maximumBody: Int
        /// How many redirects are followed.
        var redirects = 0
        /// Whether hosts that the owner of the flow did not name may have private addresses.
        var allowsPrivateAddresses = false
    }

    private static let connectTimeout = TimeAmount.seconds(10)

    let rules: Rules
    private let client = Mutex<HTTPClient?>(nil)

    init(_ rules: Rules) { self.rules = rules }

    /// Sends a request and follows where it is sent on.
    ///
    /// - Parameters:
    ///   - call: The request.
    ///   - isTrusted: Whether the owner of the flow named the host; other hosts may be none with a private address.
    /// - Throws: ``FlowError``: `connection`, which another attempt may mend, `private-address`, `redirects` and
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
                throw FlowError(type: "redirects", message: "\(call.description) was redirected to what is no URL")
            }
            call = call.redirected(to: target, status: answer.status)
        }
        throw FlowError(
            type: "redirects",
            message: "\(first) was redirected more than \(rules.redirects) times, at last to \(call.url)"
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
        // A client that is let go of without this is a fault to it.
        client.withLock { $0 }?.shutdown { _ in }
    }

    private func once(_ call: HTTPCall, mayBePrivate: Bool) async throws -> HTTPAnswer {
        if mayBePrivate { return try await send(call, through: shared()) }
        let address = try await publicAddress(of: call.url)
        // A client of its own for the one address that was looked at: asked again, the name might lead elsewhere.
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
        var request = HTTPClientRequest(url: call.url.text)
        request.method = HTTPMethod(rawValue: call.method)
        for (name, value) in call.headers { request.headers.add(name: name, value: value) }
        if let body = call.body { request.body = .bytes(ByteBuffer(bytes: body)) }
        do {
            let response = try await client.execute(request, deadline: .distantFuture)
            return HTTPAnswer(
                status: Int(response.status.code),
                headers: response.headers.map { ($0.name, $0.value) },
                body: try await body(of: response, to: call)
            )
        } catch let error as FlowError {
            throw error
        } catch {
            try Task.checkCancellation()
            throw FlowError(
                type: "connection",
                message: "\(call.description): \(Self.explain(error))",
                isRetryable: true
            )
        }
    }

    private func body(of response: HTTPClientResponse, to call: HTTPCall) async throws -> [UInt8] {
        var body: [UInt8] = []
        for try await chunk in response.body {
            guard body.count + chunk.readableBytes <= rules.maximumBody else {
                throw FlowError(
                    type: "output-too-large",
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
                type: "private-address",
                message: """
                    \(url) leads to \(address.text), which is an address of this machine or of a private network; \
                    'private_addresses: true' allows that
                    """
            )
        }
        guard let address = addresses.first else {
            throw FlowError(type: "connection", message: "\(url): there is no host '\(url.host)'", isRetryable: true)
        }
        return address
    }

    /// The client for hosts that may have any address, made when it is first needed.
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
        // Whether to try again is for the flow's retries to say; until then a slot would be taken.
        configuration.connectionPool.retryConnectionEstablishment = false
        // As many as tasks run at once, which others limit.
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 1_024
        configuration.dnsOverride = addresses
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }

    private static func explain(_ error: any Error) -> String {
        switch error {
        case let error as NIOConnectionError:
            let reason = error.connectionErrors.first.map { explain($0.error) }
            return "no connection to \(error.host): \(reason ?? "there is no such host")"
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
