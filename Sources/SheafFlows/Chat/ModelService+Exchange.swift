import NIOCore
package import SheafCore
package import SystemPackage

/// What a service of models answered to a request that belongs to no single task.
package struct ModelAnswer: Sendable {
    /// The status.
    package var status: Int
    /// The body; nil if it is not JSON.
    package var json: JSONValue?
    /// How a task would fail with this answer: a ``FlowError`` or a ``FlowThrottle``; nil if it is a success.
    package var failure: (any Error)?
    /// The time that the service asks to wait; nil if it gave none.
    package var retryAfter: Duration?
    /// The error that the body reports, whatever the status is; nil if there is none in a known format.
    package var reason: String?
    /// The method and the URL of the request, without secrets.
    package var request: String
    /// The headers.
    var headers: [(name: String, value: String)] = []

    /// Returns the first header of that name, which is given in lower case.
    package func header(_ name: String) -> String? { headers.first { $0.name.lowercased() == name }?.value }
}

extension ModelService {
    /// How many redirects a download follows.
    private static let redirects = 3

    /// Sends a request and returns the answer, whatever its status is.
    ///
    /// - Parameters:
    ///   - method: The method.
    ///   - path: The path below the base URL, with its query.
    ///   - body: The body; nil if there is none.
    ///   - headers: Headers besides those of the flow.
    ///   - limit: How long the exchange may take.
    /// - Throws: ``FlowError`` if there is no answer, or if a header of the flow depends on a task.
    package func exchange(
        _ method: String,
        _ path: String,
        body: JSONValue? = nil,
        headers: [(name: String, value: String)] = [],
        within limit: Duration
    ) async throws -> ModelAnswer {
        var call = try call(method, path)
        call.headers += headers
        if let body {
            call.headers.removeAll { $0.name.lowercased() == "content-type" }
            call.headers.append(("Content-Type", "application/json"))
            call.body = body.bytes
        }
        let request = call
        return try await answer(to: request, within: limit) {
            try await authenticating(request) { try await caller.send($0, isTrusted: true) }
        }
    }

    /// Uploads a file as a form (`multipart/form-data`).
    ///
    /// - Parameters:
    ///   - path: The path below the base URL.
    ///   - fields: The fields before the file.
    ///   - name: The name of the file.
    ///   - file: The content, read from its beginning.
    ///   - size: The bytes of the content.
    ///   - boundary: A string that does not occur in the content.
    ///   - limit: How long the upload may take.
    /// - Throws: ``FlowError`` if there is no answer.
    package func upload(
        _ path: String,
        fields: [(name: String, value: String)],
        name: String,
        file: SystemPackage.FileDescriptor,
        size: Int,
        boundary: String,
        within limit: Duration
    ) async throws -> ModelAnswer {
        var call = try call("POST", path)
        call.headers.removeAll { $0.name.lowercased() == "content-type" }
        call.headers.append(("Content-Type", "multipart/form-data; boundary=\(boundary)"))
        var head = ""
        for field in fields {
            head += "--\(boundary)\r\nContent-Disposition: form-data; name=\"\(field.name)\"\r\n\r\n\(field.value)\r\n"
        }
        head += "--\(boundary)\r\nContent-Disposition: form-data; name=\"file\"; filename=\"\(name)\"\r\n"
        head += "Content-Type: application/octet-stream\r\n\r\n"
        let body = StreamedBody(
            head: Array(head.utf8),
            file: file,
            size: size,
            tail: Array("\r\n--\(boundary)--\r\n".utf8)
        )
        let request = call
        return try await answer(to: request, within: limit) {
            try await authenticating(request, body) { try await caller.send($0, body) }
        }
    }

    /// Sends the content of a file as the body.
    ///
    /// - Parameters:
    ///   - method: The method.
    ///   - path: The path below the base URL, with its query.
    ///   - file: The content, read from its beginning.
    ///   - size: The bytes of the content.
    ///   - headers: Headers besides those of the flow, with `Content-Type`.
    ///   - limit: How long the exchange may take.
    /// - Throws: ``FlowError`` if there is no answer.
    package func send(
        _ method: String,
        _ path: String,
        file: SystemPackage.FileDescriptor,
        size: Int,
        headers: [(name: String, value: String)],
        within limit: Duration
    ) async throws -> ModelAnswer {
        var call = try call(method, path)
        call.headers.removeAll { $0.name.lowercased() == "content-type" }
        call.headers += headers
        let body = StreamedBody(head: [], file: file, size: size, tail: [])
        let request = call
        return try await answer(to: request, within: limit) {
            try await authenticating(request, body) { try await caller.send($0, body) }
        }
    }

    /// Sends an object with one member: a list of the JSON values that are the lines of a file.
    ///
    /// - Parameters:
    ///   - path: The path below the base URL.
    ///   - name: The name of the member.
    ///   - file: The file, read from its beginning; each line has a line break.
    ///   - size: The bytes of the file.
    ///   - limit: How long the exchange may take.
    /// - Throws: ``FlowError`` if there is no answer.
    package func post(
        _ path: String,
        _ name: String,
        lines file: SystemPackage.FileDescriptor,
        size: Int,
        within limit: Duration
    ) async throws -> ModelAnswer {
        var call = try call("POST", path)
        call.headers.removeAll { $0.name.lowercased() == "content-type" }
        call.headers.append(("Content-Type", "application/json"))
        // A line break is no part of a JSON value, and the last one ends the list.
        let body = StreamedBody(
            head: Array("{\"\(name)\":[".utf8),
            file: file,
            size: max(0, size - 1),
            tail: Array("]}".utf8),
            lineBreak: UInt8(ascii: ",")
        )
        let request = call
        return try await answer(to: request, within: limit) {
            try await authenticating(request, body) { try await caller.send($0, body) }
        }
    }

    /// Downloads a file of any size.
    ///
    /// A request to another scheme, host or port than that of the service, and a redirect to one, is made without the
    /// headers of the flow, so that the key is sent to no other server.
    ///
    /// - Parameters:
    ///   - location: The path below the base URL, or a URL.
    ///   - file: Is given the content of a successful answer.
    ///   - size: After how many bytes the download may end; nil means the whole file.
    ///   - limit: How long the download may take.
    /// - Throws: ``FlowError`` if there is no answer, or if it is cut off as far as HTTP can tell.
    package func download(
        _ location: String,
        to file: SystemPackage.FileDescriptor,
        upTo size: Int? = nil,
        within limit: Duration
    ) async throws -> ModelAnswer {
        let own = try call("GET", location.hasPrefix("/") ? location : "")
        var request = own
        if !location.hasPrefix("/") {
            guard let target = HTTPAddress(location) else {
                let message = "\(own.description) leads to a file whose URL is invalid"
                throw FlowError(type: FlowError.redirectsType, message: message)
            }
            request = own.redirected(to: target, status: 302)
        }
        let call = request
        return try await answer(to: call, within: limit) {
            let send = { (call: HTTPCall) in
                var left = size ?? .max
                return try await caller.download(call, named: own.url, redirects: Self.redirects) { chunk in
                    _ = try file.writeAll(chunk.readableBytesView)
                    left -= chunk.readableBytes
                    return left > 0
                }
            }
            // Another server is given nothing that authenticates.
            if !call.url.hasSameOrigin(as: own.url) { return try await send(call) }
            return try await authenticating(call, nil, send)
        }
    }

    /// Returns how a task fails whose request, sent together with others, was answered with a status and a body; nil if
    /// that is a success.
    ///
    /// The failure is the one that the request would have had alone, except that a 429 is a failure that may be
    /// retried.
    package func failure(of path: String, status: Int, body: JSONValue) -> FlowError? {
        guard let address = HTTPAddress(base + path) else { return nil }
        let text = body.stringValue.map { Array($0.utf8) } ?? body.bytes
        do {
            try check(HTTPAnswer(status: status, headers: [], body: text), to: HTTPCall(method: "POST", url: address))
            return nil
        } catch let error as FlowError {
            return error
        } catch {
            let message = (error as? FlowThrottle)?.message ?? "\(error)"
            return FlowError(type: "http-\(status)", message: message, isRetryable: true)
        }
    }

    /// Makes a request that belongs to no single task.
    private func call(_ method: String, _ path: String) throws(FlowError) -> HTTPCall {
        let scope: TemplateScope
        do throws(TemplateError) {
            scope = try .withoutTask
        } catch {
            throw FlowError(type: FlowError.templateType, message: error.description)
        }
        return try call(method, path, scope)
    }

    /// Sends a request; throws ``FlowError`` of type `timeout` if that takes too long.
    static func withLimit(
        _ limit: Duration,
        _ call: HTTPCall,
        _ send: @escaping @Sendable () async throws -> HTTPAnswer
    ) async throws -> HTTPAnswer {
        try await withThrowingTaskGroup(of: HTTPAnswer?.self) { group in
            group.addTask { try await send() }
            group.addTask {
                try await Task.sleep(for: limit)
                return nil
            }
            defer { group.cancelAll() }
            guard let answer = try await group.next() ?? nil else {
                throw FlowError(
                    type: FlowError.timeoutType,
                    message: "\(call.description) took longer than \(limit)",
                    isRetryable: true
                )
            }
            return answer
        }
    }

    private func answer(
        to call: HTTPCall,
        within limit: Duration,
        _ send: @escaping @Sendable () async throws -> HTTPAnswer
    ) async throws -> ModelAnswer {
        do {
            let answer = try await Self.withLimit(limit, call, send)
            var failure: (any Error)?
            do { try check(answer, to: call) } catch { failure = secrets.masked(error) }
            let json = try? JSON.parse(answer.body)
            return ModelAnswer(
                status: answer.status,
                json: json,
                failure: failure,
                retryAfter: answer.header("retry-after").flatMap { RetryAfter.parse($0) },
                reason: json.flatMap { Self.reason(in: $0) }.map { secrets.masked($0) },
                request: call.description,
                headers: answer.headers
            )
        } catch {
            throw secrets.masked(error)
        }
    }
}
